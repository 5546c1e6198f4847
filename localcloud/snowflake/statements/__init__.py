"""Statements are parsed, rewritten for DuckDB and run."""
