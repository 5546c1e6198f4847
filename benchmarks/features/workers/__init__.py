"""The engines, each a script that runs in a process, and where it has one in an environment, of its own."""
