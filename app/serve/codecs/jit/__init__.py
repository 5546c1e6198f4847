"""Compiled code: reads and writes bodies without a Python object for each value.

A body is *plain* if the compiled readers can read it. They return None for any other body, which then takes the general path:
slower Python code, which accepts every valid body and is the only code that writes error messages.
"""
