"""Roles, warehouses, grants and sessions in the dialect: which rule reads and which handler runs each statement."""

from app.local.snowflake.account import grammar, grants, statements, syntax
from app.local.snowflake.subject import Created, Shown, Subject

SUBJECT = Subject(
    rules={
        ("GRANT",): grants.grant,
        ("REVOKE",): grants.revoke,
        ("USE",): grammar.use,
        ("ALTER", "SESSION"): grammar.alter_session,
        ("ALTER", "WAREHOUSE"): grammar.alter_warehouse,
    },
    created={"ROLE": Created(grammar.create_role), "WAREHOUSE": Created(grammar.create_warehouse)},
    dropped={"ROLE": statements.drop_role, "WAREHOUSE": statements.drop_warehouse},
    shown={
        "ROLES": Shown(statements.ROLES, statements.roles),
        "WAREHOUSES": Shown(statements.WAREHOUSES, statements.warehouses),
        "GRANTS": Shown(statements.GRANTS, statements.grants),
    },
    handlers={
        syntax.CreateRole: statements.create_role,
        syntax.CreateWarehouse: statements.create_warehouse,
        syntax.AlterWarehouse: statements.alter_warehouse,
        syntax.AlterSession: statements.alter_session,
        syntax.Grant: statements.grant,
        syntax.Use: statements.use,
    },
)
