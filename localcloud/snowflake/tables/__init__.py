"""DDL and DML on tables and views where fakesnow and DuckDB differ from Snowflake."""
