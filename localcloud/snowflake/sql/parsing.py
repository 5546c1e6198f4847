"""SQL text to sqlglot's syntax tree, and the checks before a tree is written in DuckDB's dialect.

sqlglot drops what the target dialect cannot express and only warns; such statements are rejected before they run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from snowflake.connector.errors import ProgrammingError
from sqlglot import exp
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.errors import ErrorLevel, ParseError, TokenError
from sqlglot.parsers.snowflake import SnowflakeParser

from localcloud.snowflake.failures import SYNTAX, compilation, syntax
from localcloud.snowflake.sql.bindings import number_placeholders
from localcloud.snowflake.sql.names import TIMES, WRITTEN
from localcloud.snowflake.sql.statement_names import check_begin, unknown_kind

_START = re.compile(r"\s*(START\s+TRANSACTION|BEGIN(\s+(WORK|TRANSACTION))?(\s+NAME\s+\w+)?)\s*;?\s*", re.IGNORECASE)
_END = re.compile(r"\s*(COMMIT|ROLLBACK)\b", re.IGNORECASE)
_COPY = re.compile(r"\s*COPY\b", re.IGNORECASE)
# Texts and quoted names are matched too, so that a variable inside of them is skipped.
_VARIABLE = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|(?<![\w$])\$(?P<name>[A-Za-z_]\w*)", re.DOTALL)
# sqlglot reads ``?::`` as an operator of another dialect. Texts and quoted names are skipped here too.
_TYPED_BIND = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|\?::", re.DOTALL)

# Snowflake takes this many expressions in a list, such as the rows of VALUES.
_MOST_ROWS = 200_000
_ROW_END = re.compile(r"\)\s*,\s*\(")
# How ``number_placeholders`` writes a placeholder.
_NUMBERED = re.compile(r"(?<![:\w]):\d+( |$)")

_SYSTEM_CALL = re.compile(r"\s*CALL\s+(?P<call>(?P<name>SYSTEM\$\w+)\s*\(.*\))\s*;?\s*$", re.IGNORECASE | re.DOTALL)
# Snowpark's temporary objects; like other temporary objects they live as long as the session.
_PARAMETERS = re.compile(r"\s*(?:ALTER\s+(?:SESSION|USER|ACCOUNT)|SHOW\s+PARAMETERS)\b", re.IGNORECASE)
_SCOPED = re.compile(r"(\s*CREATE\s+(?:OR\s+REPLACE\s+)?)SCOPED\s+(?=TEMP(?:ORARY)?\s)", re.IGNORECASE)


def sets_parameters(sql: str) -> bool:
    """Whether the statement sets or shows parameters, which a session may do whatever values it has."""
    return _PARAMETERS.match(sql) is not None


_NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_LATE_IF = re.compile(
    rf"(?P<create>\s*CREATE\s+(?:(?:LOCAL|GLOBAL|TEMP|TEMPORARY|TRANSIENT|VOLATILE)\s+)*TABLE\s+)(?P<name>(?:{_NAME}\.){{0,2}}{_NAME})"
    r"\s+IF\s+NOT\s+EXISTS\b",
    re.IGNORECASE,
)


def starts_transaction(sql: str) -> bool:
    return _START.fullmatch(sql) is not None


def normalised(sql: str) -> str:
    """CALL of a system function as a query, SCOPED TEMPORARY as TEMPORARY, and ``CREATE TABLE t IF NOT EXISTS`` in the usual
    order."""
    if (called := _SYSTEM_CALL.match(sql)) is not None:
        sql = f'SELECT {called["call"]} AS "{called["name"].upper()}"'
    scoped = _SCOPED.match(sql)
    sql = sql if scoped is None else scoped[1] + sql[scoped.end() :]
    late = _LATE_IF.match(sql)
    return sql if late is None else f"{late['create']}IF NOT EXISTS {late['name']}{sql[late.end() :]}"


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


class _Parser(SnowflakeParser):
    """sqlglot's parser, which notes the text of each projection: Snowflake names columns by it."""

    def _parse_expression(self) -> exp.Expr | None:
        first = self._curr
        found: exp.Expr | None = super()._parse_expression()
        last = self._prev
        if found is not None and first and last and not isinstance(found, exp.Alias | exp.Column):
            found.meta[WRITTEN] = _NUMBERED.sub("?", self.sql[first.start : last.end + 1])
        return found


def _with_written_names(expression: exp.Expr, text: str) -> exp.Expr:
    """Note how the client wrote functions of which sqlglot forgets the name or the parentheses."""
    for node in expression.find_all(*TIMES):
        if "start" in node.meta and not node.this:
            node.meta[WRITTEN] = f"{text[node.meta['start'] : node.meta['end'] + 1].upper()}()"
    return expression


def _fill_schemas(expression: exp.Expr) -> None:
    """``database..table`` is a table of the schema PUBLIC."""
    for table in expression.find_all(exp.Table):
        if table.args.get("catalog") and not table.db:
            table.set("db", exp.to_identifier("PUBLIC", quoted=True))


def _reject_long_list(sql: str) -> None:
    """Raise Snowflake's error for VALUES with more rows than it takes, before the long text is parsed."""
    rows = sql.count("),") + 1
    if rows > _MOST_ROWS and len(found := _ROW_END.findall(sql)) >= _MOST_ROWS:
        listed = f"expected at most {_MOST_ROWS:,}, got {len(found) + 1:,}"
        raise compilation(1795, "42601", f"maximum number of expressions in a list exceeded, {listed}")


def parse(sql: str) -> exp.Expr:
    _reject_long_list(sql)
    try:
        text = number_placeholders(_TYPED_BIND.sub(_parted, sql)) if "?" in sql else sql
        expression = _Parser(dialect=Snowflake()).parse(Snowflake().tokenize(text), text)[0]
    except TokenError as error:
        raise compilation(1003, "42000", "syntax error: unterminated literal or comment.") from error
    except (AttributeError, TypeError, IndexError, ValueError) as error:
        # sqlglot fails in this way on some texts that are no SQL.
        raise compilation(SYNTAX, "42000", "syntax error: the statement cannot be read.") from error
    except ParseError as error:
        check_begin(sql)
        raise unknown_kind(sql) or _syntax(error, sql) from error
    if expression is None:
        raise syntax("unexpected '<EOF>'", sql, len(sql.rstrip()))
    if any(
        not isinstance(item, exp.PropertyEQ) and not item.is_star
        for made in expression.find_all(exp.Struct)
        for item in made.expressions
    ):
        raise compilation(SYNTAX, "42000", "syntax error: an object constant needs pairs of a key and a value.")
    _fill_schemas(expression)
    return _with_written_names(expression, text)


def _syntax(error: ParseError, sql: str) -> ProgrammingError:
    """sqlglot shows the last token where it expects more; Snowflake then says that the end is unexpected."""
    found = error.errors[0] if error.errors else {}
    description = str(found.get("description") or "")
    at_end = not str(found.get("end_context") or "").strip(" ;") and not description.startswith("Invalid expression")
    at_end = at_end and found.get("highlight") not in (")", "}", "]")
    if at_end or not found.get("highlight"):
        return syntax("unexpected '<EOF>'", sql, len(sql.rstrip()))
    where = f"syntax error line {found.get('line', 1)} at position {max(0, found.get('col', 1) - 1)}"
    return compilation(SYNTAX, "42000", f"{where} unexpected '{found['highlight']}'.")
