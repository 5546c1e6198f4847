"""Snowflake's SQL functions, grouped by the chapters of its reference."""
