"""SQL types and argument lists, as functions and procedures declare them.

Synonyms are resolved to Snowflake's own names: INT is NUMBER(38,0), DOUBLE is FLOAT.
"""

from __future__ import annotations

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.sql.syntax import Argument, Type
from localcloud.snowflake.sql.tokens import TokenStream

_INTEGERS = ("INT", "INTEGER", "BIGINT", "SMALLINT", "TINYINT", "BYTEINT")
_SYNONYMS = {
    **dict.fromkeys(("NUMBER", "DECIMAL", "NUMERIC", "DEC", *_INTEGERS), "NUMBER"),
    **dict.fromkeys(("FLOAT", "FLOAT4", "FLOAT8", "DOUBLE", "DOUBLE PRECISION", "REAL"), "FLOAT"),
    **dict.fromkeys(("VARCHAR", "STRING", "TEXT", "CHAR", "CHARACTER"), "VARCHAR"),
    **{name: name for name in ("BOOLEAN", "DATE", "TIME", "VARIANT", "OBJECT", "ARRAY", "BINARY")},
    **{name: name for name in ("TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ")},
    **dict.fromkeys(("TIMESTAMP", "DATETIME"), "TIMESTAMP_NTZ"),
}


def sql_type(stream: TokenStream) -> Type:
    word = "DOUBLE PRECISION" if stream.accept("DOUBLE", "PRECISION") else stream.identifier()
    name = _SYNONYMS.get(word)
    if name is None:
        raise compilation(2040, "42601", f"Unsupported data type '{word}'.")
    sizes = _sizes(stream) if stream.words(1) == ("(",) else []
    if name == "NUMBER" and word not in _INTEGERS:
        precision = sizes[0] if sizes else 38
        return Type(name, precision, sizes[1] if len(sizes) > 1 else 0)
    if len(sizes) > 1 or (sizes and name not in ("VARCHAR", "BINARY", "TIME") and "TIMESTAMP" not in name):
        raise stream.unexpected()
    if name == "NUMBER":
        return Type(name, 38, 0)
    return Type(name, sizes[0] if sizes and name in ("VARCHAR", "BINARY") else None)


def _sizes(stream: TokenStream) -> list[int]:
    stream.expect("(")
    sizes = [stream.integer()]
    while stream.accept(","):
        sizes.append(stream.integer())
    stream.expect(")")
    if len(sizes) > 2:
        raise stream.unexpected()
    return sizes


def sql_arguments(stream: TokenStream) -> tuple[Argument, ...]:
    stream.expect("(")
    found: list[Argument] = []
    while not stream.accept(")"):
        if found:
            stream.expect(",")
        name = stream.identifier()
        found.append(Argument(name, sql_type(stream)))
    names = [argument.name for argument in found]
    if len(set(names)) != len(names):
        raise compilation(1003, "42000", "duplicate argument name in function signature.")
    return tuple(found)


def sql_types(stream: TokenStream) -> tuple[Type, ...]:
    stream.expect("(")
    found: list[Type] = []
    while not stream.accept(")"):
        if found:
            stream.expect(",")
        found.append(sql_type(stream))
    return tuple(found)
