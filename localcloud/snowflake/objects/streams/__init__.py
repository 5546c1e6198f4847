"""Streams: change data capture on tables."""
