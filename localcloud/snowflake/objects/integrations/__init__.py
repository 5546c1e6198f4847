"""Storage and API integrations: what lets Snowflake reach a bucket or a gateway."""
