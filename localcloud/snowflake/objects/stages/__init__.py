"""Stages, and the rows that move between their files and tables."""
