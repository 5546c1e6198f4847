"""The servers: this project's and the others, started on given cores, measured as trees of processes, stopped."""
