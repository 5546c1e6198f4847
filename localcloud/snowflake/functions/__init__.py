"""Snowflake's SQL functions, by chapter of its reference."""
