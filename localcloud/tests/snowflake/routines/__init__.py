"""Code behind SQL: external functions, Python functions and procedures, Snowpark, Snowflake ML."""
