"""The text of a view's CREATE statement, which SHOW VIEWS and INFORMATION_SCHEMA.VIEWS show as the client wrote it.

It is DuckDB's own comment on the view, so that it is renamed and dropped with the view. Snowflake's comments are stored elsewhere
(``comments``).
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.identifiers import quoted, text_literal
from localcloud.snowflake.sql.syntax import Path

#: The key of the statement's text among the facts that a statement carries to its end.
TEXT = "text"
_TEXTS = "SELECT database_name, schema_name, view_name, comment FROM duckdb_views() WHERE NOT internal AND comment IS NOT NULL"


def store(session: Session, path: Path, expression: exp.Create) -> None:
    """Store the text of the statement that has created the view at ``path``."""
    text = expression.meta.get(TEXT)
    if text is not None and not expression.find(exp.TemporaryProperty):
        session.duck.execute(f"COMMENT ON VIEW {quoted(*path)} IS {text_literal(text)}")


def texts(session: Session) -> dict[Path, str]:
    """The text of each view."""
    return {(database, schema, view): text for database, schema, view, text in session.duck.execute(_TEXTS).fetchall()}


def show_in_information_schema(session: Session, database: str) -> None:
    """Replace fakesnow's INFORMATION_SCHEMA.VIEWS of a new database by one with these texts and with comments."""
    name = quoted(database, "_fs_information_schema", "_fs_views")
    found = session.duck.execute(
        "SELECT sql FROM duckdb_views() WHERE database_name = ? AND view_name = '_fs_views'", [database]
    )
    ((created,),) = found.fetchall()
    query = created[created.upper().index(" AS ") + 4 :].rstrip(";")
    session.duck.execute(
        f"CREATE OR REPLACE VIEW {name} AS SELECT v.* REPLACE (coalesce(d.comment, v.VIEW_DEFINITION) AS VIEW_DEFINITION, "
        f"e.comment AS COMMENT) FROM ({query}) AS v JOIN duckdb_views() AS d "
        "ON (d.database_name, d.schema_name, d.view_name) = (v.TABLE_CATALOG, v.TABLE_SCHEMA, v.TABLE_NAME) "
        "LEFT JOIN _fs_global._fs_information_schema._fs_tables_ext AS e "
        "ON (e.ext_table_catalog, e.ext_table_schema, e.ext_table_name) = (v.TABLE_CATALOG, v.TABLE_SCHEMA, v.TABLE_NAME)"
    )
    _add_to_tables(session, database)


def _add_to_tables(session: Session, database: str) -> None:
    """List views in INFORMATION_SCHEMA.TABLES too, where fakesnow has tables only."""
    name = quoted(database, "_fs_information_schema", "_fs_tables")
    found = session.duck.execute(
        "SELECT sql FROM duckdb_views() WHERE database_name = ? AND view_name = '_fs_tables'", [database]
    )
    ((created,),) = found.fetchall()
    query = created[created.upper().index(" AS ") + 4 :].rstrip(";")
    views = quoted(database, "_fs_information_schema", "_fs_views")
    session.duck.execute(
        f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM ({query}) UNION ALL BY NAME "
        f"SELECT TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME, TABLE_OWNER, 'VIEW' AS TABLE_TYPE, COMMENT FROM {views}"
    )
