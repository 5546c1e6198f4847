"""User-defined functions of every kind: what DROP, ALTER, DESCRIBE and SHOW FUNCTIONS have in common."""
