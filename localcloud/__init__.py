"""The local cloud: servers that speak Snowflake's and AWS's own protocols."""
