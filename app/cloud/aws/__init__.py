"""AWS: one module for each port."""
