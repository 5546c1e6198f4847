"""Python functions and procedures; their handlers run in worker processes."""
