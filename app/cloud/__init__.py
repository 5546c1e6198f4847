"""Adapters: the only code that knows the vendors' libraries and errors."""
