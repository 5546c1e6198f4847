"""Child processes that stand for containers: environment, lifetime, name resolution, logs."""
