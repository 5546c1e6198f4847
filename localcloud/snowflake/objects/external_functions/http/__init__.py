"""Requests to the service behind an external function, as Snowflake sends them."""
