"""The command line: one module a command group, and the console."""
