"""Compiled code: reads and writes bodies without a Python object for each value."""
