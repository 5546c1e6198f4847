"""The cost of serving: this service, other servers and the limit, on one model, the same rows and the same machine.

See ``python -m benchmarks.serving --help``. A run: ``workload`` (model, rows) -> ``limit`` (no server) -> ``ours`` and
``peers`` (servers, each started once) -> ``load`` (requests) with ``processes`` (CPU seconds, memory) -> ``rounds`` (points
interleaved, medians) and ``overload`` -> ``targets`` -> ``report`` and ``markdown``.
"""
