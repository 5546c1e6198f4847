"""FILTER, TRANSFORM and REDUCE: functions that take a lambda, over the elements of an ARRAY.

The elements are VARIANTs (JSON). A parameter with a type is converted to it; one without a type is converted where the expression
around it needs a number or a text.
"""

from __future__ import annotations

from sqlglot import exp

_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In)
_TEXTS = (exp.DPipe, exp.Concat, exp.Upper, exp.Lower, exp.Like, exp.ILike, exp.Length, exp.Trim)


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.ArrayFilter):
        return _json(_call("LIST_FILTER", _items(node.this), _read(node.expression)))
    if isinstance(node, exp.Transform):
        look = _read(node.expression)
        look.set("this", _call("_element", look.this))
        return _json(_call("LIST_TRANSFORM", _items(node.this), look))
    if isinstance(node, exp.Reduce):
        return _reduced(node)
    return node


def _reduced(node: exp.Reduce) -> exp.Expr:
    """The accumulator is a VARIANT while it is computed; the result has the type of the initial value."""
    initial, look = node.args["initial"], _read(node.args["merge"])
    typed = _declared(node.args["merge"])
    look.set("this", _call("_element", look.this))
    found = _call("LIST_REDUCE", _items(node.this), look, _call("TO_JSON", initial.copy()))
    inner = initial.unnest()
    if typed is not None:
        return exp.Cast(this=_text(found), to=typed)
    if isinstance(inner, exp.Literal | exp.Neg):
        return _text(found) if inner.is_string else exp.cast(_text(found), "DOUBLE")
    return found


def _declared(look: exp.Expr) -> exp.Expr | None:
    """The declared type of the accumulator."""
    name = look.expressions[0].name
    casts = [cast for cast in look.this.find_all(exp.Cast) if _is_name(cast.this, name)]
    return casts[0].to.copy() if casts else None


def _read(look: exp.Expr) -> exp.Expr:
    """The lambda with its parameters converted where they are read."""
    made = look.copy()
    names = {parameter.name.upper() for parameter in made.expressions}
    body = exp.Paren(this=made.this)
    for found in [part for part in body.find_all(exp.Identifier) if part.this.upper() in names]:
        if isinstance(found.parent, exp.Column | exp.Dot | exp.JSONPathKey):
            continue
        parent = found.parent
        if isinstance(parent, exp.Cast) and parent.this is found:
            parent.set("this", _text(_column(found)))
        elif isinstance(parent, _TEXTS) or (isinstance(parent, _COMPARISONS) and _beside_text(parent, found)):
            found.replace(_text(_column(found)))
        elif isinstance(parent, (*_ARITHMETIC, *_COMPARISONS)):
            found.replace(exp.cast(_text(_column(found)), "DOUBLE"))
        else:
            found.replace(_column(found))
    made.set("this", body.this)
    return made


def _beside_text(comparison: exp.Expr, found: exp.Expr) -> bool:
    others = [part for part in comparison.iter_expressions() if part is not found]
    return any(part.unnest().is_string for part in others)


def _is_name(node: exp.Expr, name: str) -> bool:
    read = node.find(exp.Identifier)
    return read is not None and read.name.upper() == name.upper()


def _column(identifier: exp.Identifier) -> exp.Expr:
    return exp.Column(this=identifier.copy())


def _items(array: exp.Expr) -> exp.Expr:
    return _call("_items", _call("_variant", array.copy()))


def _text(value: exp.Expr) -> exp.Expr:
    return _call("JSON_EXTRACT_STRING", value, exp.Literal.string("$"))


def _json(value: exp.Expr) -> exp.Expr:
    return _call("TO_JSON", value)


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(arguments))
