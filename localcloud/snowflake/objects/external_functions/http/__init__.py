"""HTTP protocol of external functions, as Snowflake implements it."""
