"""The command line: one module for each command group, and the console."""
