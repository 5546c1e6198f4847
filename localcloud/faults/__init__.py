"""Fault injection for the local cloud: rules, the middleware that applies them, and their control over HTTP."""
