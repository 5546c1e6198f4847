"""Tasks: statements that run on a schedule, alone or as a graph."""
