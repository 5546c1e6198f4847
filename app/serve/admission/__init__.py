"""Admission control: a request gets a thread at once, after a short wait, or is rejected before its body is read.

``concurrency_limit`` adapts the number of requests of one model that may run, from their latency; ``queue`` hands out the slots
fairly among models and callers and rejects early; ``slots`` connects both to the event loop and runs the work in threads.

Everything here runs on the event loop, so nothing is locked.
"""
