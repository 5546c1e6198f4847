"""Fixtures of the local Snowflake's own tests, for the product's SQL and HTTP."""

from localcloud.tests.snowflake.conftest import (  # noqa: F401
    bucket,
    connect,
    connection,
    cursor,
    function,
    private_key,
    s3,
    s3_url,
    schema,
    server,
    service,
    snowpark,
    sql,
)
