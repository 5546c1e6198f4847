"""External functions: SQL functions whose body is an HTTP service."""
