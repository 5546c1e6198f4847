"""Worker processes and the environment of a handler: packages, imported files, a session."""
