"""Roles, users, warehouses, grants, USE and session parameters as a feature."""

from localcloud.snowflake.objects.account import grammar, grants, listings, parameters, show, statements, syntax, users
from localcloud.snowflake.objects.feature import Created, Feature, Shown
from localcloud.snowflake.result import DESCRIBE, SHOW

FEATURE = Feature(
    rules={
        ("GRANT",): grants.grant,
        ("REVOKE",): grants.revoke,
        ("USE",): grammar.use,
        ("ALTER", "SESSION"): parameters.alter_session,
        ("ALTER", "ACCOUNT"): parameters.alter_account,
        ("ALTER", "WAREHOUSE"): grammar.alter_warehouse,
        ("ALTER", "USER"): users.alter_user,
        ("ALTER", "ROLE"): grammar.alter_role,
        ("SHOW", "PARAMETERS"): parameters.show_parameters,
        ("SHOW", "GRANTS"): grants.show_grants,
        ("SHOW", "FUTURE", "GRANTS"): grants.show_grants,
        ("DESCRIBE", "WAREHOUSE"): grammar.describe_account_object,
        ("DESCRIBE", "USER"): grammar.describe_account_object,
    },
    created={
        "ROLE": Created(grammar.create_role),
        "WAREHOUSE": Created(grammar.create_warehouse),
        "USER": Created(users.create_user),
    },
    dropped={"ROLE": statements.drop_role, "WAREHOUSE": statements.drop_warehouse, "USER": users.drop},
    shown={
        "ROLES": Shown(show.ROLES, show.roles),
        "USERS": Shown(show.USERS, show.users),
        "WAREHOUSES": Shown(show.WAREHOUSES, show.warehouses),
        **listings.SHOWN,
    },
    handlers={
        syntax.CreateRole: statements.create_role,
        syntax.CreateWarehouse: statements.create_warehouse,
        syntax.AlterWarehouse: statements.alter_warehouse,
        syntax.AlterSession: parameters.set_parameters,
        syntax.AlterAccount: parameters.set_account_parameters,
        syntax.Grant: statements.grant,
        syntax.Use: statements.use,
        syntax.CreateUser: users.create,
        syntax.AlterUser: users.alter,
        syntax.AlterRole: statements.alter_role,
        syntax.DescribeAccountObject: show.describe,
        syntax.ShowGrants: show.grants,
        syntax.ShowParameters: parameters.rows,
    },
    columns={
        syntax.DescribeAccountObject: (lambda statement: show.DESCRIBED[statement.kind], DESCRIBE),
        syntax.ShowGrants: (show.columns_of_grants, SHOW),
        syntax.ShowParameters: (lambda _: parameters.COLUMNS, SHOW),
    },
)
