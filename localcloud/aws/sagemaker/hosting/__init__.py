"""Endpoints: configurations, traffic, invocations, data capture."""
