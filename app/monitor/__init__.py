"""Is it still true? Drift, measured in the warehouse."""
