"""SQL text to sqlglot's syntax tree, and the checks before a tree is written in DuckDB's dialect.

sqlglot drops what the target dialect cannot express and only warns; such statements are rejected before they run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, ParseError, TokenError

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.sql.bindings import number_placeholders

_START = re.compile(r"\s*(START\s+TRANSACTION|BEGIN(\s+(WORK|TRANSACTION))?(\s+NAME\s+\w+)?)\s*;?\s*", re.IGNORECASE)
_END = re.compile(r"\s*(COMMIT|ROLLBACK)\b", re.IGNORECASE)
_COPY = re.compile(r"\s*COPY\b", re.IGNORECASE)
# Texts and quoted names are matched too, so that a variable inside of them is skipped.
_VARIABLE = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|(?<![\w$])\$(?P<name>[A-Za-z_]\w*)", re.DOTALL)
# sqlglot reads ``?::`` as an operator of another dialect. Texts and quoted names are skipped here too.
_TYPED_BIND = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|\?::", re.DOTALL)

# Snowpark's temporary objects; like other temporary objects they live as long as the session.
_SCOPED = re.compile(r"(\s*CREATE\s+(?:OR\s+REPLACE\s+)?)SCOPED\s+(?=TEMP(?:ORARY)?\s)", re.IGNORECASE)


def starts_transaction(sql: str) -> bool:
    return _START.fullmatch(sql) is not None


def unscoped(sql: str) -> str:
    """Replace SCOPED TEMPORARY with TEMPORARY."""
    scoped = _SCOPED.match(sql)
    return sql if scoped is None else scoped[1] + sql[scoped.end() :]


def ends_transaction(sql: str) -> bool:
    return _END.match(sql) is not None


def is_copy(sql: str) -> bool:
    return _COPY.match(sql) is not None


def with_variables(sql: str, variables: Mapping[str, str]) -> str:
    """Replace each ``$name`` outside of texts and quoted names by the session variable's value."""
    values = {name.upper(): value for name, value in variables.items()}

    def value(found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return found.group()
        if name.upper() not in values:
            raise compilation(2211, "02000", f"Session variable '${name.upper()}' does not exist")
        return values[name.upper()]

    return _VARIABLE.sub(value, sql) if "$" in sql else sql


def reject_losses(expression: exp.Expr) -> None:
    """Reject what sqlglot would drop in DuckDB's dialect, which would give a wrong result."""
    query = expression.expression if isinstance(expression, exp.Create) else expression
    if isinstance(query, exp.Query | exp.Insert | exp.Update | exp.Delete | exp.Merge):
        query.sql(dialect="duckdb", unsupported_level=ErrorLevel.RAISE)


def _parted(found: re.Match[str]) -> str:
    return "? ::" if found.group() == "?::" else found.group()


def parse(sql: str) -> exp.Expr:
    try:
        text = number_placeholders(_TYPED_BIND.sub(_parted, sql)) if "?" in sql else sql
        return sqlglot.parse_one(text, read="snowflake")
    except TokenError as error:
        raise compilation(1003, "42000", "syntax error: unterminated literal or comment.") from error
    except ParseError as error:
        found = error.errors[0] if error.errors else {}
        where = f"syntax error line {found.get('line', 1)} at position {max(0, found.get('col', 1) - 1)}"
        raise compilation(1003, "42000", f"{where} unexpected '{found.get('highlight') or '<EOF>'}'.") from error
