"""Several statements in one request, as the connector sends them for ``num_statements``.

A block of Snowflake Scripting contains semicolons and is one statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlglot.dialects.snowflake import Snowflake
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import TokenType

from localcloud.snowflake.failures import failure
from localcloud.snowflake.sql.bindings import Binding

_TRANSACTION = ("", "TRANSACTION", "WORK", "NAME")


def wanted_count(body: dict[str, Any], parameters: Mapping[str, Any]) -> int:
    """The number of statements that the request may contain: 0 for any number. The default is 1."""
    asked = (body.get("parameters") or {}).get("MULTI_STATEMENT_COUNT")
    return int(asked if asked is not None else parameters.get("MULTI_STATEMENT_COUNT", 1))


def split(sql: str, count: int) -> list[tuple[str, int]]:
    """Each statement with the number of its placeholders. Raises code 8 if the number of statements is not ``count``."""
    found = _statements(sql)
    if count not in (0, len(found)):
        raise failure(
            8,
            "0A000",
            f"Actual statement count {len(found)} did not match the desired statement count {count}.",
        )
    return found


def split_bindings(bindings: dict[str, Binding] | None, counts: list[int]) -> list[dict[str, Binding] | None]:
    """Divide the request's bind values among the statements; each statement's are numbered from 1."""
    ordered = [bindings[position] for position in sorted(bindings, key=int)] if bindings else []
    divided: list[dict[str, Binding] | None] = []
    for count in counts:
        mine, ordered = ordered[:count], ordered[count:]
        divided.append({str(index): binding for index, binding in enumerate(mine, start=1)} or None)
    return divided


def _statements(sql: str) -> list[tuple[str, int]]:
    if ";" not in sql.rstrip().rstrip(";"):
        return [(sql, sql.count("?"))]
    try:
        tokens = Snowflake().tokenize(sql)
    except TokenError:
        # The statement's own parser reports the error.
        return [(sql, 0)]
    words = [token.text.upper() for token in tokens]
    if _is_block(words):
        return [(sql, sum(token.token_type is TokenType.PLACEHOLDER for token in tokens))]
    found: list[tuple[str, int]] = []
    start = placeholders = 0
    for token in tokens:
        placeholders += token.token_type is TokenType.PLACEHOLDER
        if token.token_type is TokenType.SEMICOLON:
            found.append((sql[start : token.start], placeholders))
            start, placeholders = token.end + 1, 0
    found.append((sql[start:], placeholders))
    return [(text.strip(), count) for text, count in found if text.strip()]


def _is_block(words: list[str]) -> bool:
    """Whether the text is a scripting block, or creates an object whose body is one."""
    for at, word in enumerate(words):
        if word in ("BEGIN", "DECLARE") and (at == 0 or words[at - 1] == "AS"):
            follows = words[at + 1] if at + 1 < len(words) else ""
            return word == "DECLARE" or follows.split(" ")[0] not in (*_TRANSACTION, ";")
    return False
