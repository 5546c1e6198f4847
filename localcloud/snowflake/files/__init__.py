"""Reading, writing and schema inference of staged files."""
