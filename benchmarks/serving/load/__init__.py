"""Requests as bytes, and the loops that send them, which cost less than any server here."""
