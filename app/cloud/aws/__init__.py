"""AWS: one module a port."""
