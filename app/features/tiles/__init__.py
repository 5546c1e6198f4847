"""Daily tiles of a source: partial aggregates that many as-of times share, appended once a day and corrected by new ones."""
