"""What sqlglot parses and fakesnow and DuckDB run otherwise than Snowflake: DDL and DML."""
