"""DDL and DML statements for which fakesnow or DuckDB deviate from Snowflake."""
