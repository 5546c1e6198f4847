"""Dynamic tables: stored query results that are refreshed to a target lag."""
