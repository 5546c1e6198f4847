"""Masking and row access policies: their definition, what they are set on, and what they do to queries."""
