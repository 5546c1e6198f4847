"""Definitions of views and labels: loaded, compiled into one query, and checked for what they read and return."""
