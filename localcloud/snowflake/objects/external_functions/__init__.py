"""External functions: SQL functions that call an HTTP service."""
