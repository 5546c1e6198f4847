"""Credentials: shared secrets, API keys and their scopes."""
