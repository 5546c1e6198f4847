"""The product's SQL and HTTP on the local Snowflake: the servers and sessions of its own suite."""

from localcloud.tests.snowflake.conftest import (  # noqa: F401
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
