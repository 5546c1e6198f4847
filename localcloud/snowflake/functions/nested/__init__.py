"""Functions over ARRAY, OBJECT and VARIANT, whose values are JSON in DuckDB."""
