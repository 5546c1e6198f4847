"""Worker processes and what a handler finds in them: packages, imported files, a session."""
