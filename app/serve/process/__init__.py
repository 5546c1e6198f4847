"""Processes: the server, readiness and drain, and several workers behind one port.

The ``supervisor`` answers no request itself. Each worker is a whole service, started as a new process rather than forked, because
a copy of a process with threads, clients and compiled code may hold their locks forever. Each worker listens for itself
(``shared_port``), so the kernel spreads connections over them. Workers share S3, where they read the live records, and the
sockets in ``peers``: the worker that is asked for metrics gathers those of all.
"""
