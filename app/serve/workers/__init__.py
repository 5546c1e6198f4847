"""The service as several processes: a ``supervisor`` that answers nothing itself, and workers that each are a whole service.

A worker is the same program, started anew (``worker``), for a copy of a process that has threads, clients and compiled code may
hold their locks for good. Each listens for itself (``port``), so that the kernel spreads connections over them. What they share is
S3, where they read what is live, and ``crew``: whoever is asked for metrics gathers those of all.
"""
