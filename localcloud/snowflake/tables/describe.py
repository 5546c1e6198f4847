"""DESCRIBE TABLE and DESCRIBE VIEW of any database, temporary tables included, with the comments of the columns."""

from __future__ import annotations

import sqlglot
from sqlglot import exp

from localcloud.snowflake.failures import missing_object
from localcloud.snowflake.objects.policies.references import PolicyReferences
from localcloud.snowflake.objects.table_keys import TableKeys
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.identifiers import text_literal
from localcloud.snowflake.sql.names import table_name
from localcloud.snowflake.sql.syntax import Path

# fakesnow's list of all columns. Its own DESCRIBE reads that of the current database, and no comments.
_QUERY = """
SELECT
    column_name AS "name",
    CASE data_type
        WHEN 'NUMBER' THEN 'NUMBER(' || numeric_precision || ',' || numeric_scale || ')'
        WHEN 'TEXT' THEN 'VARCHAR(' || coalesce(character_maximum_length, 16777216) || ')'
        WHEN 'BINARY' THEN 'BINARY(8388608)'
        WHEN 'TIMESTAMP_NTZ' THEN 'TIMESTAMP_NTZ(9)'
        WHEN 'TIMESTAMP_TZ' THEN 'TIMESTAMP_TZ(9)'
        WHEN 'TIME' THEN 'TIME(9)'
        ELSE data_type
    END AS "type",
    'COLUMN' AS "kind",
    CASE is_nullable WHEN 'YES' THEN 'Y' ELSE 'N' END AS "null?",
    column_default AS "default",
    CASE WHEN column_name IN ({3}) THEN 'Y' ELSE 'N' END AS "primary key",
    CASE WHEN column_name IN ({4}) THEN 'Y' ELSE 'N' END AS "unique key",
    NULL::VARCHAR AS "check",
    NULL::VARCHAR AS "expression",
    comment AS "comment",
    {5} AS "policy name",
    NULL::JSON AS "privacy domain"
FROM _fs_global._fs_information_schema._fs_columns
WHERE table_catalog = {0} AND table_schema = {1} AND table_name = {2}
ORDER BY ordinal_position
"""
_TEMPORARY_VIEW = "SELECT 1 FROM duckdb_views() WHERE temporary AND NOT internal AND view_name = ?"


def rewrite(expression: exp.Expr, session: Session) -> exp.Expr:
    """The query behind DESCRIBE TABLE and VIEW; any other statement, and views of INFORMATION_SCHEMA, unchanged.

    Raises 2003 if there is no such table or view.
    """
    if not isinstance(expression, exp.Describe) or not isinstance(expression.this, exp.Table):
        return expression
    name = table_name(expression.this)
    kind = str(expression.args.get("kind")).upper()
    if kind not in ("TABLE", "VIEW") or name.schema == "INFORMATION_SCHEMA":
        return expression
    where = _stored(session, session.path(name))
    if where is None:
        raise missing_object(name.name, kind.capitalize())
    keys = session.account.state(TableKeys).of(where)
    keyed = (
        ", ".join(["NULL", *(text_literal(column) for key in keys if key.kind == kind for column in key.columns)])
        for kind in ("PRIMARY KEY", "UNIQUE")
    )
    query = _QUERY.format(*map(text_literal, where), *keyed, _policy_names(session, where))
    return sqlglot.parse_one(query, read="duckdb")


def _policy_names(session: Session, path: Path) -> str:
    """The expression of a column's masking policy."""
    masks = session.account.state(PolicyReferences).masks(path)
    cases = " ".join(
        f"WHEN {text_literal(column)} THEN {text_literal(policy.full_name)}" for column, (policy, _) in masks.items()
    )
    return f"CASE column_name {cases} END" if cases else "NULL::VARCHAR"


def _stored(session: Session, path: Path) -> Path | None:
    """Where DuckDB has the table or view; temporary ones hide permanent ones."""
    if path in session.temporary:
        return "temp", "main", session.temporary[path]
    if session.duck.execute(_TEMPORARY_VIEW, [path[2]]).fetchall():
        return "temp", "main", path[2]
    return path if session.account.names.kind(path) is not None else None
