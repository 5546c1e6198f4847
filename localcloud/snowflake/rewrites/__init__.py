"""Rewrites of single constructs of Snowflake's dialect, one module each."""
