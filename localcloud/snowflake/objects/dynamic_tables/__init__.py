"""Dynamic tables: queries whose rows are stored, and refreshed when they are older than the target lag."""
