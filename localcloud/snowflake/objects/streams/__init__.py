"""Streams: the changes of a table since they were last consumed."""
