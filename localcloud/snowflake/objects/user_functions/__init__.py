"""Statements shared by user-defined functions of every kind: DROP, ALTER, DESCRIBE and SHOW FUNCTIONS."""
