"""Grammar of roles, warehouses and USE. Warehouse properties that Snowflake does not document are rejected."""

from __future__ import annotations

from typing import Any

from localcloud.snowflake.objects.account import syntax as ast
from localcloud.snowflake.objects.feature import CreateHead
from localcloud.snowflake.sql.syntax import Name, Statement
from localcloud.snowflake.sql.tokens import (
    OptionParser,
    TokenStream,
    boolean_option,
    choice_option,
    integer_option,
    require_options,
    text_option,
)

WAREHOUSE_SIZES = (
    *("XSMALL", "X-SMALL", "SMALL", "MEDIUM", "LARGE", "XLARGE", "X-LARGE", "XXLARGE", "X2LARGE", "2X-LARGE"),
    *("XXXLARGE", "X3LARGE", "3X-LARGE", "X4LARGE", "4X-LARGE", "X5LARGE", "5X-LARGE", "X6LARGE", "6X-LARGE"),
)
_WAREHOUSE: dict[str, OptionParser] = {
    "WAREHOUSE_TYPE": choice_option("STANDARD", "SNOWPARK-OPTIMIZED"),
    "WAREHOUSE_SIZE": choice_option(*WAREHOUSE_SIZES),
    "MAX_CLUSTER_COUNT": integer_option(1, 300),
    "MIN_CLUSTER_COUNT": integer_option(1, 300),
    "SCALING_POLICY": choice_option("STANDARD", "ECONOMY"),
    "AUTO_SUSPEND": integer_option(0, 2**31),
    "AUTO_RESUME": boolean_option,
    "INITIALLY_SUSPENDED": boolean_option,
    "STATEMENT_TIMEOUT_IN_SECONDS": integer_option(0, 604_800),
    "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": integer_option(0, 2**31),
    "MAX_CONCURRENCY_LEVEL": integer_option(1, 2**31),
    "ENABLE_QUERY_ACCELERATION": boolean_option,
    "QUERY_ACCELERATION_MAX_SCALE_FACTOR": integer_option(0, 100),
    "COMMENT": text_option,
}


def create_role(stream: TokenStream, head: CreateHead) -> Statement:
    return head.make(ast.CreateRole, comment=stream.options({"COMMENT": text_option}).get("COMMENT"))


def create_warehouse(stream: TokenStream, head: CreateHead) -> Statement:
    stream.accept("WITH")
    options = stream.options(_WAREHOUSE)
    return head.make(ast.CreateWarehouse, comment=options.pop("COMMENT", None), options=tuple(options.items()))


def use(stream: TokenStream) -> Statement:
    stream.expect("USE")
    if stream.accept("SECONDARY", "ROLES"):
        return ast.Use("SECONDARY ROLES", Name(stream.one_of("ALL", "NONE")))
    for kind in ("ROLE", "WAREHOUSE", "DATABASE", "SCHEMA"):
        if stream.accept(kind):
            return ast.Use(kind, stream.name())
    name = stream.name()
    return ast.Use("SCHEMA" if name.schema else "DATABASE", name)


def alter_warehouse(stream: TokenStream) -> Statement:
    stream.expect("ALTER", "WAREHOUSE")
    exists = stream.accept("IF", "EXISTS")
    name = stream.name()
    action: Any = stream.one_of("SET", "SUSPEND", "RESUME")
    if action == "RESUME":
        stream.accept("IF", "SUSPENDED")
    options = stream.options(_WAREHOUSE) if action == "SET" else {}
    return ast.AlterWarehouse(name, action, exists, tuple(options.items()))


def alter_role(stream: TokenStream) -> Statement:
    stream.expect("ALTER", "ROLE")
    exists = stream.accept("IF", "EXISTS")
    name = stream.name()
    if stream.accept("RENAME", "TO"):
        return ast.AlterRole(name, exists, new_name=stream.identifier())
    if stream.accept("UNSET"):
        stream.expect("COMMENT")
        return ast.AlterRole(name, exists)
    stream.expect("SET")
    options = stream.options({"COMMENT": text_option})
    require_options(options, "COMMENT")
    return ast.AlterRole(name, exists, comment=options["COMMENT"])


def describe_account_object(stream: TokenStream) -> Statement:
    stream.one_of("DESCRIBE", "DESC")
    kind: Any = stream.one_of("WAREHOUSE", "USER")
    return ast.DescribeAccountObject(kind, stream.name())
