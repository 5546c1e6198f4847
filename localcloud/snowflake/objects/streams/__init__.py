"""Streams: what changed in a table since somebody last looked."""
