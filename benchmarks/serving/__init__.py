"""What serving costs: this service, other servers and the limit, on one model, the same rows and the same machine.

``python -m benchmarks.serving --help`` teaches. A run goes down this list: ``workload`` (model, rows) -> ``limit`` (no server at
all) -> ``ours`` and ``peers`` (servers, each started once) -> ``load`` (requests) with ``processes`` (CPU seconds, memory) ->
``rounds`` (points interleaved, medians) and ``overload`` -> ``targets`` -> ``report`` and ``markdown``.
"""
