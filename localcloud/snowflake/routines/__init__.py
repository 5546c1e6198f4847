"""Functions and procedures with handlers, by language."""
