"""What a run found: targets and verdicts, tables, the screen and the results section of the documentation."""
