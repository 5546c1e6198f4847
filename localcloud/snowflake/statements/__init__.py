"""Parsing, rewriting and execution of statements."""
