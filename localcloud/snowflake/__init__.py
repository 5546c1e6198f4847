"""The local Snowflake: a server on fakesnow and DuckDB that the official connector and Snowpark log in to over HTTP."""
