"""The cost of serving: this service, other servers and the limit, on one model, the same rows and the same machine.

See ``python -m benchmarks.serving --help``. A run: ``workload`` (models, rows) -> ``servers`` (each started once) -> ``load``
(requests) -> ``measurement`` (the limit, rounds with medians, overload) -> ``results`` (verdicts, tables).
"""
