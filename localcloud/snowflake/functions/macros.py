"""The macros of all chapters: created once for an account, called by their full names.

DuckDB replaces a call by the macro's text, and most macros repeat an operand in several branches. Where that operand calls a
macro itself, the text would grow exponentially with the nesting. ``finish`` then calls the form with the suffix ``_once``, which
binds the operands to a lambda's parameter, so that each appears once. Plain operands are repeated: DuckDB optimizes them better.
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.snowflake.functions import numeric_macros, operands, percentile_states
from localcloud.snowflake.functions.moments import timestamp_macros
from localcloud.snowflake.functions.nested import semi_structured_macros
from localcloud.snowflake.functions.table import split

# Every session sees this schema of DuckDB under this name, whatever its own current schema is, and so do views.
_SCHEMA = "memory.main"
_ONCE = "_once"
# The macro of a TIMESTAMP_NTZ, and those whose value is a timestamp, whatever their operands are.
_NTZ, _NTZ_OF_MOMENT, _MOMENTS = "_ntz", "_ntz_of_moment", frozenset({"_ntz", "_ltz"})
_NTZ_OF, _NTZ_OF_MICROS, _WHOLE = "_ntz_of", "_ntz_of_micros", frozenset({"_floored"})
_SCALAR = {
    **timestamp_macros.MACROS,
    **semi_structured_macros.SCALAR,
    **numeric_macros.MACROS,
    **percentile_states.MACROS,
}


def _name(signature: str) -> str:
    return signature.partition("(")[0].lower()


def _parameters(signature: str) -> list[str]:
    return [name.strip() for name in signature.partition("(")[2].rstrip(")").split(",")]


_NAMES = frozenset(map(_name, [*_SCALAR, *operands.MACROS, *semi_structured_macros.TABLE, *split.TABLE_MACROS]))
_CALL = re.compile(rf"(?<![\w.])({'|'.join(sorted(_NAMES, key=len, reverse=True))})\(", re.IGNORECASE)


def _calls_of(body: str) -> set[str]:
    return {found.lower() for found in _CALL.findall(body)}


def _repeated(signature: str, body: str) -> list[str]:
    """The parameters that the text of the macro, with the macros that it calls, may contain several times."""
    found = []
    for name in _parameters(signature):
        uses = len(re.findall(rf"(?<![\w.']){name}(?![\w'(])", body))
        if uses > 1 or (uses == 1 and _calls_of(body)):
            found.append(name)
    return found


def _once(signature: str, body: str) -> tuple[str, str] | None:
    """The form that computes its operands once; ``None`` where the macro does so itself, repeats none, or has a subquery.

    DuckDB takes no subquery inside of a lambda.
    """
    repeated = _repeated(signature, body)
    name, parameters = _name(signature), _parameters(signature)
    if (
        body.startswith("list_transform([x]")
        or name.endswith(_ONCE)
        or not repeated
        or "SELECT" in body
        or f"{name}{_ONCE}" in _NAMES
    ):
        return None
    fields = ", ".join(f"'{parameter}': {parameter}" for parameter in repeated)
    given = ", ".join(f"once_['{each}']" if each in repeated else each for each in parameters)
    call = f"list_transform([{{{fields}}}], lambda once_: {name}({given}))[1]"
    return f"{name}{_ONCE}({', '.join(parameters)})", call


_ONCE_FORMS = dict(form for item in _SCALAR.items() if (form := _once(*item)) is not None)
# Names of all macros of one value.
_VALUES = frozenset(map(_name, [*_SCALAR, *_ONCE_FORMS, *operands.MACROS]))
# Macros that have a form with the suffix.
COMPUTED_ONCE = frozenset(
    name.removesuffix(_ONCE) for name in map(_name, [*_SCALAR, *_ONCE_FORMS]) if name.endswith(_ONCE)
)


def full_name(name: str) -> str:
    """The name by which SQL in DuckDB's dialect calls the macro."""
    return f"{_SCHEMA}.{name}"


def finish(expression: exp.Expr) -> exp.Expr:
    """The calls of macros in a statement that is otherwise rewritten: with their full names, and their operands computed once."""
    for call in reversed(list(expression.find_all(exp.Anonymous))):
        name = str(call.this).lower()
        if name == _NTZ and _calls(call.expressions[0], _MOMENTS):
            # It would only find out that it casts, with its operand bound to a lambda.
            name = _NTZ_OF_MOMENT
        elif name == _NTZ_OF and _calls(call.expressions[0], _WHOLE) and call.expressions[1].name == "1":
            # The same for DATE_PART(EPOCH_MICROSECOND, x), by which each row's time is converted to UTC.
            name = _NTZ_OF_MICROS
            call.set("expressions", call.expressions[:1])
        if name in COMPUTED_ONCE and any(map(_is_costly, call.expressions)):
            name += _ONCE
        if name in _ALL:
            call.set("this", full_name(name))
    return expression


def _calls(operand: exp.Expr, names: frozenset[str]) -> bool:
    """Whether the operand is a call of one of the macros."""
    inner = operand.unnest()
    return isinstance(inner, exp.Anonymous) and str(inner.this).lower().rpartition(".")[2].removesuffix(_ONCE) in names


def _is_costly(operand: exp.Expr) -> bool:
    return any(isinstance(part, exp.Query) or _is_call(part) for part in operand.walk())


def _is_call(part: exp.Expr) -> bool:
    return isinstance(part, exp.Anonymous) and str(part.this).lower().removeprefix(f"{_SCHEMA}.") in _VALUES


_ALL = _NAMES | _VALUES
_DEFINITIONS = {
    **{name: f" AS ({body})" for name, body in {**_SCALAR, **_ONCE_FORMS}.items()},
    **operands.MACROS,
    **{name: f" AS TABLE {body}" for name, body in {**split.TABLE_MACROS, **semi_structured_macros.TABLE}.items()},
}
CREATE = "".join(
    f"CREATE MACRO {full_name(name)}{_CALL.sub(lambda call: full_name(call[0]), body)};\n"
    for name, body in _DEFINITIONS.items()
)
