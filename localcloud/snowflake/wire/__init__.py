"""Snowflake's HTTP protocol: login, statements, results in chunks."""
