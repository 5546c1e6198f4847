"""Stages and file formats."""
