"""Functions and procedures that run inside Snowflake, generated from Python that is tested here."""
