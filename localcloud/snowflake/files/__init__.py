"""Staged files: read, written, and their columns inferred."""
