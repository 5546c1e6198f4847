"""Semi-structured functions, as macros over JSON (``semi_structured_macros``).

DuckDB casts a JSON text to VARCHAR with its quotes, so a cast of a column depends on the column's type.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from localcloud.snowflake.failures import unsupported

_JSON_TYPES = {
    exp.DataType.Type.VARIANT: "_variant",
    exp.DataType.Type.ARRAY: "_to_array",
    exp.DataType.Type.OBJECT: "_to_object",
}
_TEXTS = exp.DataType.TEXT_TYPES - {exp.DataType.Type.NAME}
# Expressions that give a binary; the type of a column is known when DuckDB binds it.
_BINARIES = (exp.ToBinary, exp.HexString, exp.Unhex, exp.MD5Digest, exp.SHA1Digest, exp.SHA2Digest)
# The macro of each class of sqlglot, and the arguments in the macro's order.
_CLASSES: dict[type[exp.Expr], tuple[str, tuple[str, ...]]] = {
    exp.Typeof: ("_kind", ("this",)),
    exp.ToVariant: ("_variant", ("this",)),
    exp.ToArray: ("_to_array", ("this",)),
    exp.ArraySize: ("_array_size", ("this",)),
    exp.ArrayContains: ("_array_contains", ("this", "expression")),
    exp.ArrayPosition: ("_array_position", ("this", "expression")),
    exp.ArrayAppend: ("_array_append", ("this", "expression")),
    exp.ArrayPrepend: ("_array_prepend", ("this", "expression")),
    exp.ArrayInsert: ("_array_insert", ("this", "position", "expression")),
    exp.ArrayRemove: ("_array_remove", ("this", "expression")),
    exp.ArrayRemoveAt: ("_array_remove_at", ("this", "position")),
    exp.ArraySlice: ("_array_slice", ("this", "start", "end")),
    exp.ArrayCompact: ("_array_compact", ("this",)),
    exp.ArrayDistinct: ("_array_distinct", ("this",)),
    exp.ArrayReverse: ("_array_reverse", ("this",)),
    exp.Flatten: ("_array_flatten", ("this",)),
    exp.ArrayExcept: ("_array_except", ("this", "expression")),
    exp.ArrayOverlaps: ("_arrays_overlap", ("this", "expression")),
    exp.ArrayToString: ("_array_to_string", ("this", "expression")),
    exp.ArrayMin: ("_array_min", ("this",)),
    exp.ArrayMax: ("_array_max", ("this",)),
    exp.JSONKeys: ("_object_keys", ("this",)),
    exp.GetIgnoreCase: ("_get_ignore_case", ("this", "expression")),
    exp.StrtokToArray: ("_strtok", ("this", "expression")),
}
_AS = {
    **dict.fromkeys(("AS_CHAR", "AS_VARCHAR"), ("VARCHAR", ("VARCHAR",))),
    "AS_INTEGER": ("BIGINT", ("INTEGER",)),
    **dict.fromkeys(("AS_DOUBLE", "AS_REAL"), ("DOUBLE", ("INTEGER", "DECIMAL", "DOUBLE"))),
    "AS_BOOLEAN": ("BOOLEAN", ("BOOLEAN",)),
    "AS_ARRAY": ("JSON", ("ARRAY",)),
    "AS_OBJECT": ("JSON", ("OBJECT",)),
}
_IS = {
    **dict.fromkeys(("IS_CHAR", "IS_VARCHAR"), ("VARCHAR",)),
    "IS_INTEGER": ("INTEGER",),
    "IS_DECIMAL": ("INTEGER", "DECIMAL"),
    **dict.fromkeys(("IS_DOUBLE", "IS_REAL"), ("INTEGER", "DECIMAL", "DOUBLE")),
    "IS_BOOLEAN": ("BOOLEAN",),
    "IS_OBJECT": ("OBJECT",),
}


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Cast):
        return _cast(node)
    if isinstance(node, exp.Anonymous):
        return _named(node)
    if (known := _CLASSES.get(type(node))) is not None:
        macro, names = known
        return _call(macro, *(node.args[name] for name in names))
    make = _OTHERS.get(type(node))
    return make(node) if make is not None else node


def _call(macro: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=macro, expressions=list(arguments))


def _cast(node: exp.Cast) -> exp.Expr:
    if isinstance(node, exp.TryCast) and node.to.this not in _TEXTS:
        return node
    if (macro := _JSON_TYPES.get(node.to.this)) is not None and not node.to.expressions:
        return _call(macro, node.this)
    if node.to.this in _TEXTS and _may_be_nested(node.this):
        text = _call("_text", node.this)
        return exp.Cast(this=text, to=node.to) if node.to.expressions else text
    return node


def _may_be_nested(value: exp.Expr) -> bool:
    """Whether a cast to text depends on the type that DuckDB finds."""
    return isinstance(value, (exp.Column, *_BINARIES)) or (
        isinstance(value, exp.Anonymous) and value.this in ("_parsed", "_variant")
    )


def _named(node: exp.Anonymous) -> exp.Expr:
    name, given = str(node.this).upper(), node.expressions
    if name in ("OBJECT_DELETE", "OBJECT_PICK") and len(given) > 1:
        keys = exp.Anonymous(this="LIST_VALUE", expressions=given[1:])
        return _call("_object_without" if name == "OBJECT_DELETE" else "_object_only", given[0], keys)
    if name in ("AS_DECIMAL", "AS_NUMBER") and given:
        return _as_decimal(given)
    if len(given) != 1:
        return node
    if name == "TO_OBJECT":
        return _call("_to_object", given[0])
    if name in _IS:
        return _is_kind(given[0], _IS[name])
    if name in _AS:
        type_, kinds = _AS[name]
        value = _call(
            "_of_kind",
            given[0],
            exp.Anonymous(this="LIST_VALUE", expressions=[exp.Literal.string(kind) for kind in kinds]),
        )
        return value if type_ == "JSON" else exp.cast(_call("_text", value), type_)
    return node


def _as_decimal(given: list[exp.Expr]) -> exp.Expr:
    """``AS_DECIMAL(v [, precision [, scale]])``: a NUMBER(38, 0) by default."""
    if any(not isinstance(size, exp.Literal) for size in given[1:]):
        raise unsupported("AS_DECIMAL with a precision or scale that is not a literal")
    precision, scale = [*(size.name for size in given[1:]), *("38", "0")[len(given) - 1 :]]
    number = exp.cast(_call("_text", given[0].copy()), f"DECIMAL({precision}, {scale})")
    return exp.Case(ifs=[exp.If(this=_is_kind(given[0], ("INTEGER", "DECIMAL")), true=number)])


def _is_kind(value: exp.Expr, kinds: tuple[str, ...]) -> exp.Expr:
    return exp.In(this=_call("_kind", value), expressions=[exp.Literal.string(kind) for kind in kinds])


def _concat(node: exp.Expr) -> exp.Expr:
    result: exp.Expr = node.this
    for other in node.expressions:
        result = _call("_array_cat", result, other)
    return result


def _compact(node: exp.Expr) -> exp.Expr:
    return _call("_array_compact", exp.Anonymous(this="JSON_ARRAY", expressions=node.expressions))


def _sorted(node: exp.Expr) -> exp.Expr:
    ascending = node.args.get("asc") or exp.true()
    nulls = node.args.get("nulls_first")
    if nulls is not None and nulls != exp.Boolean(this=ascending == exp.false()):
        raise unsupported("ARRAY_SORT with a third argument")
    return _call("_array_sort", node.this, ascending)


def _range(node: exp.Expr) -> exp.Expr:
    if not node.args.get("is_end_exclusive"):
        return node
    return _call("_array_range", node.args["start"], node.args["end"], node.args.get("step") or exp.Literal.number(1))


def _inserted(node: exp.Expr) -> exp.Expr:
    update = node.args.get("update_flag") or exp.false()
    return _call("_object_insert", node.this, node.args["key"], node.args["value"], update)


def _intersection(node: exp.Expr) -> exp.Expr:
    return _call("_array_intersection", *node.expressions)


def _unique(node: exp.Expr) -> exp.Expr:
    """The distinct values without NULL."""
    found = exp.Anonymous(this="LIST", expressions=[exp.Distinct(expressions=[node.this])])
    kept = exp.Filter(
        this=found, expression=exp.Where(this=exp.Not(this=exp.Is(this=node.this.copy(), expression=exp.null())))
    )
    empty = exp.Anonymous(this="LIST_VALUE", expressions=[])
    return exp.Anonymous(this="TO_JSON", expressions=[exp.Anonymous(this="COALESCE", expressions=[kept, empty])])


def _as_text(node: exp.Expr) -> exp.Expr:
    """TO_CHAR and TO_VARCHAR without a format."""
    return node if node.args.get("format") is not None else _call("_text", node.this)


def _element(node: exp.Expr) -> exp.Expr:
    """``v['key']`` and ``v[0]``, one step at a time."""
    (index,) = node.expressions if len(node.expressions) == 1 else (None,)
    if not isinstance(index, exp.Literal):
        return node
    step = exp.JSONPathKey(this=index.name) if index.is_string else exp.JSONPathSubscript(this=int(index.name))
    return exp.JSONExtract(this=node.this, expression=exp.JSONPath(expressions=[exp.JSONPathRoot(), step]))


def _parsed(node: exp.Expr) -> exp.Expr:
    """An empty text parses to NULL, and NULL in any case of letters to JSON's null."""
    return node if node.args.get("safe") else _call("_parsed", node.this)


def _keyed(node: exp.Expr) -> exp.Expr:
    """sqlglot reads the keys of ``{'a': 1}`` as names, which would be written in upper case."""
    for pair in node.expressions:
        if isinstance(pair, exp.PropertyEQ) and isinstance(pair.this, exp.Identifier):
            pair.set("this", exp.Literal.string(pair.this.name))
    return node


def _zip(node: exp.Expr) -> exp.Expr:
    return _call("_arrays_zip", exp.Anonymous(this="LIST_VALUE", expressions=node.expressions))


_OTHERS: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.ArrayConcat: _concat,
    exp.ArrayConstructCompact: _compact,
    exp.SortArray: _sorted,
    exp.GenerateSeries: _range,
    exp.ObjectInsert: _inserted,
    exp.ArrayIntersect: _intersection,
    exp.ArraysZip: _zip,
    exp.ArrayUniqueAgg: _unique,
    exp.ToChar: _as_text,
    exp.Bracket: _element,
    exp.ParseJSON: _parsed,
    exp.Struct: _keyed,
}


def rewrite_array(node: exp.Expr) -> exp.Expr:
    """ARRAY_CONSTRUCT as JSON: the elements of a DuckDB list have one type."""
    if not isinstance(node, exp.Array):
        return node
    return exp.Anonymous(this="JSON_ARRAY", expressions=node.expressions)
