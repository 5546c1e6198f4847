"""Texts and VARIANTs as operands of arithmetic and of numeric functions, which Snowflake converts to numbers.

Only DuckDB knows a column's type, so an operand of unknown type is wrapped in a macro with one overload for each type. The
macro's first argument selects the overload and is never evaluated. It repeats the operand, so an operand that contains such a
call is bound to a lambda's parameter first: the text would double with each level of nesting.
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import compilation
from localcloud.snowflake.sql.names import stored

_MOMENTS = ("DATE", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMPTZ", "TIME", "INTERVAL")
_TYPES = (
    *(
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "HUGEINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "UHUGEINT",
    ),
    *("DOUBLE", "FLOAT", "DECIMAL", "BLOB", *_MOMENTS),
)
_NUMBER_OF_TEXT = "x::DECIMAL(18, 5)"
_NUMBER_OF_VARIANT = "json_extract_string(x, '$')::DOUBLE"


def _macro(
    arguments: str | None, *, text: str, variant: str, boolean: str, other: str, moment: str | None = None
) -> str:
    bodies = {"VARCHAR": text, "JSON": variant, "BOOLEAN": boolean, **dict.fromkeys(_TYPES, other)}
    if moment is not None:
        bodies |= dict.fromkeys(_MOMENTS, moment)
    rest = "" if arguments is None else f", {arguments}"
    return ", ".join(f"(k {type_}[]{rest}) AS {body}" for type_, body in bodies.items())


_KEY = "LIST_VALUE"
_OPERAND, _SUMMAND, _BESIDE, _COMPARED = "_operand", "_summand", "_beside", "_compared"
_CLASS, _RATIO = "_operand_class", "_ratio_of_any"
_FAMILY, _RANKED = "_operand_family", "_ranked_operand"
_OPERAND_ONCE, _COMPARED_ONCE = "_operand_once", "_compared_once"
_CLASSES = frozenset({_CLASS, _FAMILY})
_OWN = frozenset(
    {_KEY, _OPERAND, _SUMMAND, _BESIDE, _COMPARED, _RATIO, _RANKED, _OPERAND_ONCE, _COMPARED_ONCE, *_CLASSES}
)
# Macros that are not repeated themselves.
_COSTLY = frozenset({_RATIO, _OPERAND_ONCE, _COMPARED_ONCE})
# The definitions of the macros, for CREATE MACRO. An aggregate of a BOOLEAN is rejected when the first row is read.
MACROS = {
    _OPERAND: _macro("x", text=_NUMBER_OF_TEXT, variant=_NUMBER_OF_VARIANT, boolean="x", other="x"),
    _SUMMAND: _macro(
        "x, name",
        text="x::DOUBLE",
        variant=_NUMBER_OF_VARIANT,
        boolean="error('Function ' || name || ' does not support BOOLEAN argument type')::BIGINT",
        other="x",
    ),
    # A text literal next to a moment is a moment.
    _BESIDE: _macro(
        "x", text=_NUMBER_OF_TEXT, variant=_NUMBER_OF_TEXT, boolean=_NUMBER_OF_TEXT, other=_NUMBER_OF_TEXT, moment="x"
    ),
    _COMPARED: _macro("x", text="x::DECIMAL(38, 10)", variant=_NUMBER_OF_VARIANT, boolean="x", other="x"),
    # DOUBLE for an operand that makes the quotient a float; a list of both classes has the type DOUBLE[].
    _CLASS: _macro(None, text="0::DOUBLE", variant="0::DOUBLE", boolean="0::BIGINT", other="0::BIGINT"),
    # UBIGINT for texts and BIGINT for numbers, so that a list of both has the type HUGEINT[]; with any other, DOUBLE[].
    _FAMILY: _macro(
        None, text="0::UBIGINT", variant="0::DOUBLE", boolean="0::DOUBLE", other="0::BIGINT", moment="0::DOUBLE"
    ),
    _RANKED: "(k HUGEINT[], x) AS x::VARCHAR::DOUBLE, "
    + ", ".join(f"(k {type_}[], x) AS x" for type_ in ("UBIGINT", "BIGINT", "DOUBLE")),
    _OPERAND_ONCE: f"(x) AS list_transform([x], lambda once_: {_OPERAND}([once_], once_))[1]",
    _COMPARED_ONCE: f"(x) AS list_transform([x], lambda once_: {_COMPARED}([once_], once_))[1]",
    _RATIO: "(k BIGINT[], a, b) AS _ratio(a, b), (k DOUBLE[], a, b) AS a::VARCHAR::DOUBLE / b::VARCHAR::DOUBLE",
}
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)
_PLAIN = (
    *(exp.Column, exp.Identifier, exp.Literal, exp.Paren, exp.Neg, exp.Cast, exp.DataType, exp.DataTypeParam),
    *(exp.Add, exp.Sub, exp.Mul, exp.Nullif, exp.Null),
)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between)
_NUMERIC = (
    *(exp.Neg, exp.Abs, exp.Round, exp.Floor, exp.Ceil, exp.Sqrt, exp.Exp, exp.Ln, exp.Sign, exp.Pow),
    *(exp.Trunc, exp.Cbrt),
)
_AGGREGATES: dict[type[exp.Expr], str] = {
    exp.Sum: "SUM",
    exp.Avg: "AVG",
    exp.Median: "MEDIAN",
    **dict.fromkeys((exp.Variance, exp.VariancePop), "VARIANCE"),
    **dict.fromkeys((exp.Stddev, exp.StddevSamp, exp.StddevPop), "STDDEV"),
}
# Aggregates of two columns.
_PAIRED = (exp.Corr, exp.CovarSamp, exp.CovarPop)
# Nodes whose value is a number, a moment or an interval, whatever they contain.
_NOT_TEXT: tuple[type[exp.Expr], ...] = (
    *(*_ARITHMETIC, *_NUMERIC, exp.Interval, exp.Null, exp.Boolean, exp.Predicate, exp.Connector, exp.Not),
    *(exp.Count, exp.CountIf, exp.RowNumber, exp.Length, exp.DateDiff, exp.Extract, exp.Star),
    *_AGGREGATES,
)
# Calls that must run once, and nodes with names of another scope.
_UNREPEATABLE: tuple[type[exp.Expr], ...] = (
    exp.Anonymous,
    exp.AggFunc,
    exp.Query,
    exp.Dot,
    exp.Lambda,
    exp.Rand,
    exp.Randn,
    exp.Uuid,
    exp.Parameter,
    exp.Placeholder,
)
_TEXT_TYPES = frozenset({*exp.DataType.TEXT_TYPES, exp.DataType.Type.VARIANT})
# Nodes whose value is a text for certain.
_TEXT_VALUES = (
    exp.Substring,
    exp.Upper,
    exp.Lower,
    exp.Trim,
    exp.SplitPart,
    exp.Concat,
    exp.DPipe,
    exp.RegexpExtract,
    exp.Left,
    exp.Right,
)
_TRUTH = (exp.Boolean, exp.Predicate, exp.And, exp.Or, exp.Xor, exp.Not)


def rewrite(node: exp.Expr) -> exp.Expr:
    """Wrap the operands of the node, in place."""
    if (name := _AGGREGATES.get(type(node))) is not None:
        _wrap_summand(node, name)
    elif isinstance(node, _PAIRED):
        for key in ("this", "expression"):
            node.set(key, _summand(node.args[key], node.sql_name()))
    elif isinstance(node, _ARITHMETIC) and not isinstance(node.expression, exp.Interval):
        _wrap_both(node)
    elif isinstance(node, _NUMERIC):
        node.set("this", _operand(node.this))
        if isinstance(node, exp.Pow):
            node.set("expression", _operand(node.expression))
    elif isinstance(node, exp.Greatest | exp.Least):
        _wrap_ranked(node)
    elif isinstance(node, _COMPARISONS) and not isinstance(node.parent, exp.Update):
        _wrap_compared(node)
    return node


def _wrap_both(node: exp.Expr) -> None:
    left, right = node.this, node.expression
    # A quotient of plain operands is wrapped as a whole, by ``ratio``.
    whole = isinstance(node, exp.Div) and is_plain(left, right)
    made = [
        _literal(side, other) or (side if whole else _operand(side)) for side, other in ((left, right), (right, left))
    ]
    node.set("this", made[0])
    node.set("expression", made[1])


def _operand(value: exp.Expr) -> exp.Expr:
    if (number := _literal(value, value)) is not None:
        return number
    if (typed := _typed(value.unnest())) is None:
        return value
    return _wrapped(_OPERAND, _OPERAND_ONCE, typed, value)


def _wrapped(macro: str, once: str, typed: exp.Expr, value: exp.Expr) -> exp.Expr:
    """The call of the macro for the value, whose type is that of ``typed``.

    A lambda's parameter has no type yet where the value reads an alias of the same SELECT.
    """
    if any(_is_own(part) for part in value.walk()) and not any(map(_is_alias, value.find_all(exp.Column))):
        return exp.Anonymous(this=once, expressions=[value.copy()])
    return exp.Anonymous(this=macro, expressions=[typed, value.copy()])


def _literal(value: exp.Expr, other: exp.Expr) -> exp.Expr | None:
    """A text literal as the number that it is next to ``other``; ``None`` for anything else."""
    text, partner = value.unnest(), other.unnest()
    if not isinstance(text, exp.Literal) or not text.is_string:
        return None
    if isinstance(partner, exp.Literal | exp.Neg):
        return exp.cast(text.copy(), "DECIMAL(18, 5)")
    key = _list_of(partner)
    return None if key is None else exp.Anonymous(this=_BESIDE, expressions=[key, text.copy()])


def _wrap_compared(node: exp.Expr) -> None:
    """Wrap what is compared with numbers."""
    if isinstance(node, exp.In):
        others = node.expressions
    else:
        others = [node.args[key] for key in ("low", "high", "expression") if key in node.args]
    sides = [node.this] if others and all(map(_is_number, others)) else others if _is_number(node.this) else []
    for side in sides:
        if (typed := _typed(side.unnest())) is not None:
            side.replace(_wrapped(_COMPARED, _COMPARED_ONCE, typed, side))


def _wrap_ranked(node: exp.Expr) -> None:
    """Wrap the operands of GREATEST and LEAST: texts next to numbers are numbers."""
    values = [value for value in (node.this, *node.expressions) if not isinstance(value, exp.Null)]
    families = [_family(value) for value in values]
    if None in families or all(map(_is_number, values)):
        return
    key = exp.Anonymous(this=_KEY, expressions=families)
    for value in values:
        value.replace(exp.Anonymous(this=_RANKED, expressions=[key.copy(), value.copy()]))


def _family(value: exp.Expr) -> exp.Expr | None:
    """A value of the type of the operand's family; ``None`` where that is not known."""
    if _is_number(value):
        return exp.cast(exp.Literal.number(0), "BIGINT")
    typed = _list_of(value.unnest())
    return None if typed is None else exp.Anonymous(this=_FAMILY, expressions=[typed])


def _is_number(value: exp.Expr) -> bool:
    inner = value.unnest()
    inner = inner.this if isinstance(inner, exp.Neg) else inner
    return isinstance(inner, exp.Literal) and not inner.is_string


def _wrap_summand(node: exp.Expr, name: str) -> None:
    owner, value = node, node.this
    if isinstance(value, exp.Distinct):
        owner, value = value, value.expressions[0] if len(value.expressions) == 1 else None
    if not isinstance(value, exp.Expr):
        return
    if isinstance(value.unnest(), _TRUTH):
        raise compilation(
            1065, "22023", f"error line 1 at position 0\nFunction {name} does not support BOOLEAN argument type"
        )
    typed = _typed(value.unnest())
    if typed is None or _in_pivot(node):
        return
    wrapped = exp.Anonymous(this=_SUMMAND, expressions=[typed, value.copy(), exp.Literal.string(name)])
    owner.set(*(("this", wrapped) if owner is node else ("expressions", [wrapped])))


def _summand(value: exp.Expr, name: str) -> exp.Expr:
    typed = _typed(value.unnest())
    if typed is None:
        return value
    return exp.Anonymous(this=_SUMMAND, expressions=[typed, value.copy(), exp.Literal.string(name)])


def ratio(dividend: exp.Expr, divisor: exp.Expr) -> exp.Expr:
    """The quotient of two plain operands; a float where one of them is a text or a VARIANT."""
    sides = dividend.unnest().copy(), divisor.unnest().copy()
    keys = [typed for side in (dividend, divisor) if (typed := _typed(side.unnest())) is not None]
    if not keys:
        return exp.Anonymous(this="_ratio", expressions=list(sides))
    classes = exp.Anonymous(this=_KEY, expressions=[exp.Anonymous(this=_CLASS, expressions=[key]) for key in keys])
    return exp.Anonymous(this=_RATIO, expressions=[classes, *sides])


def is_plain(*sides: exp.Expr) -> bool:
    """Whether the operands are cheap and stable, so that a macro may repeat them, and one of them is a column."""
    parts = [part for side in sides for part in side.walk()]
    return all(_is_plain(part) for part in parts) and any(isinstance(part, exp.Column) for part in parts)


def _is_plain(part: exp.Expr) -> bool:
    """An alias of another column of the same SELECT may be any expression."""
    if isinstance(part, exp.Anonymous):
        return _is_own(part) and _name(part) not in _COSTLY
    if not isinstance(part, exp.Column):
        return isinstance(part, _PLAIN)
    select = part.parent_select
    aliases = {_alias(column) for column in select.expressions} if isinstance(select, exp.Select) else ()
    return _column(part) not in aliases


def _in_pivot(node: exp.Expr) -> bool:
    """Whether the aggregate belongs to a PIVOT, which takes only plain aggregates."""
    return isinstance(node.find_ancestor(exp.Pivot, exp.Select), exp.Pivot)


def _typed(value: exp.Expr) -> exp.Expr | None:
    """A list of one expression of the value's type; ``None`` where the value needs no conversion or cannot be repeated."""
    if isinstance(value, _NOT_TEXT) or (isinstance(value, exp.Literal) and not value.is_string):
        return None
    if isinstance(value, exp.Cast) and value.to.this not in _TEXT_TYPES:
        return None
    if isinstance(value, exp.Window | exp.WithinGroup | exp.Filter):
        return _typed(value.this)
    if isinstance(value, exp.AggFunc):
        return _typed(value.this) if isinstance(value.this, exp.Expr) else None
    return _list_of(value)


def _list_of(value: exp.Expr) -> exp.Expr | None:
    """A list of the value, which DuckDB binds and never computes."""
    if any(isinstance(part, _UNREPEATABLE) and not _is_own(part) for part in value.walk()):
        return None
    if not any(isinstance(part, exp.Column) or part.is_string for part in value.walk()):
        return None
    made = exp.Paren(this=value.copy())
    for written, copied in zip(list(value.find_all(exp.Column)), list(made.find_all(exp.Column)), strict=True):
        if _is_alias(written):
            aliased = _aliased_text(written)
            if aliased is None:
                return None
            copied.replace(aliased)
    return exp.Anonymous(this=_KEY, expressions=[made.this])


def _aliased_text(column: exp.Column) -> exp.Expr | None:
    """What the alias of the same SELECT names, where that is a text for certain."""
    select = column.parent_select
    for item in select.expressions if isinstance(select, exp.Select) else ():
        if isinstance(item, exp.Alias) and _alias(item) == _column(column):
            value = item.this.unnest()
            if not _is_text(value):
                return None
            parts = [part for part in value.walk() if part is not value]
            if any(isinstance(part, _UNREPEATABLE) and not _is_own(part) for part in parts):
                return None
            return None if any(_is_alias(read) for read in value.find_all(exp.Column)) else value.copy()
    return None


def _is_text(value: exp.Expr) -> bool:
    return (
        isinstance(value, (*_TEXT_VALUES, exp.ToChar))
        or value.is_string
        or (isinstance(value, exp.Cast) and value.to.this in exp.DataType.TEXT_TYPES)
    )


def _is_own(part: exp.Expr) -> bool:
    return isinstance(part, exp.Anonymous) and _name(part) in _OWN


def _name(call: exp.Anonymous) -> str:
    """The name of a macro or function, without the schema that is written before it in a finished statement."""
    name = str(call.this).rpartition(".")[2]
    return name if name == _KEY else name.lower()


def _is_alias(column: exp.Column) -> bool:
    """Whether the name may be that of another column of the same SELECT, whose type is not known while macros are resolved."""
    select = column.parent_select
    if column.table or not isinstance(select, exp.Select):
        return bool(column.name.upper() in ("NEXTVAL", "CURRVAL"))
    name = _column(column)
    named = [item for item in select.expressions if isinstance(item, exp.Alias) and _alias(item) == name]
    # In ``TRIM(a) AS a`` the inner name is that of a column of the sources, which comes before the alias everywhere.
    return any(all(_column(read) != name for read in item.this.find_all(exp.Column)) for item in named)


def _alias(item: exp.Expr) -> str:
    """The name of a projection, as it is stored."""
    alias = item.args.get("alias")
    return stored(alias) if isinstance(alias, exp.Identifier) else _column(item)


def _column(item: exp.Expr) -> str:
    return stored(item.this) if isinstance(item.this, exp.Identifier) else item.alias_or_name.upper()


def unwrapped(expression: exp.Expr) -> exp.Expr | None:
    """A copy of the statement without the macros, of which DuckDB says no more than their names where a column is unknown.

    ``None`` for a statement without them.
    """
    if not any(_is_own(call) for call in expression.find_all(exp.Anonymous)):
        return None
    return expression.transform(_without_macro)


def _without_macro(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.Anonymous) or _name(node) not in _OWN - {_KEY} - _CLASSES:
        return node
    if _name(node) == _RATIO:
        plain = str(node.this).replace(_RATIO, "_ratio")
        return exp.Anonymous(this=plain, expressions=[side.copy() for side in node.expressions[1:]]).transform(
            _without_macro
        )
    value: exp.Expr = node.expressions[0 if _name(node) in _COSTLY else 1].transform(_without_macro)
    return value


def is_unresolved(error: Exception) -> bool:
    """Whether DuckDB could not find the type of an operand, most often because a column does not exist."""
    return "multiple overloads that match" in str(error)
