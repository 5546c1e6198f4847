"""Faults on request in the local cloud: rules, the doors that apply them, and the way to set them from another process."""
