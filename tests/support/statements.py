"""Validation of generated Snowflake statements, and mutants that must be rejected.

``read`` parses a statement by sqlglot's Snowflake dialect or, where sqlglot only keeps the text (its ``Command`` node proves
nothing), by the project's own grammar. ``mutants`` changes a statement of the latter kind so that it is invalid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlglot import exp
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.tokens import Token, TokenType

from localcloud.snowflake.objects.stages.syntax import CopyIntoLocation
from localcloud.snowflake.sql.parsing import parse
from localcloud.snowflake.sql.syntax import Statement
from localcloud.snowflake.statements.dialect import parse_statement, recognises

#: Keywords that a statement of the project's grammar needs: without them it is invalid or has another meaning.
_STRUCTURE = {
    *("INTO", "FROM", "RETURNS", "AS", "ON", "TO", "IN", "NOT", "EXISTS", "INTEGRATION", "EXTERNAL", "FUNCTION", "WAREHOUSE"),
    *("STAGE", "DATABASE", "SCHEMA", "SCHEMAS", "TABLES", "CALLED", "INPUT"),
}  # fmt: skip

_OPTION = re.compile(r"\b([A-Z][A-Z_]+)(?=\s*=)")


def read(text: str) -> exp.Expr | Statement:
    """The parsed statement. Raises the parser's error, or ValueError for text that is not a parsed statement."""
    if recognises(text):
        found = parse_statement(text)
        if isinstance(found, CopyIntoLocation):
            read(found.query)  # the grammar takes the query as text
        return found
    tree = parse(text)
    if any(isinstance(node, exp.Command) for node in tree.walk()):
        raise ValueError(f"sqlglot keeps this as text, it does not read it: {text[:80]}")
    read_by_sqlglot = exp.Query | exp.Create | exp.Alter | exp.Drop | exp.DML | exp.Merge | exp.Show | exp.Comment
    if not isinstance(tree, read_by_sqlglot):
        raise ValueError(f"this is no statement but {type(tree).__name__}: {text[:80]}")
    return tree


def mutants(text: str) -> Iterator[tuple[str, str]]:
    """(change, invalid statement) for each mutation of a statement in the project's grammar."""
    statement = parse_statement(text)
    query = statement.query if isinstance(statement, CopyIntoLocation) else ""
    start = text.index(query) if query else len(text)
    for match in _outside_texts(_OPTION.finditer(text), text):
        if start <= match.start() < start + len(query):
            continue  # a comparison in the unload's query, which sqlglot reads
        yield f"{match[1]} misspelt", f"{text[: match.end(1)]}X{text[match.end(1) :]}"
        yield f"{match[1]} without =", text[: match.end()] + text[match.end() :].replace("=", " ", 1)
    for token in _top_level(text):
        if token.text.upper() in _STRUCTURE and not (text.startswith("SHOW") and token.text.upper() == "SCHEMA"):
            yield f"without {token.text} at {token.start}", f"{text[: token.start]}{text[token.end + 1 :]}"
    yield "a parenthesis opened", f"{text} ("
    yield "a parenthesis closed", f"{text} )"
    parentheses = [token for token in Snowflake().tokenize(text) if token.token_type is TokenType.R_PAREN]
    if parentheses:
        last = parentheses[-1]
        yield "the last parenthesis lost", f"{text[: last.start]}{text[last.end + 1 :]}"


def _top_level(text: str) -> Iterator[Token]:
    """The unquoted words outside parentheses, string literals and quoted names."""
    depth = 0
    for token in Snowflake().tokenize(text):
        depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(token.token_type, 0)
        if depth == 0 and token.token_type not in (TokenType.STRING, TokenType.IDENTIFIER):
            yield token


def _outside_texts(found: Iterator[re.Match[str]], text: str) -> Iterator[re.Match[str]]:
    quoted = [match.span() for match in re.finditer(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"]|\"\")*\"", text)]
    for match in found:
        if not any(start <= match.start() < end for start, end in quoted):
            yield match
