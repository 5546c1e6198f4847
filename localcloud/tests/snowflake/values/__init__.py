"""Functions, operators and types: the value of an expression."""
