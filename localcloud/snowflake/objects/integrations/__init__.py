"""Storage and API integrations, which give Snowflake access to buckets and API gateways."""
