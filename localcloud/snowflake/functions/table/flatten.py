"""FLATTEN with PATH, OUTER, RECURSIVE and MODE, as a macro over DuckDB's json_tree.

``LATERAL FLATTEN(..)`` and ``TABLE(FLATTEN(..))`` become a call of the macro, which returns SEQ KEY PATH INDEX VALUE THIS. The
options must be literals, because a macro's options are fixed before it sees a row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlglot import exp

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.functions.table.split import source

_MODES = ("BOTH", "OBJECT", "ARRAY")
_STEP = re.compile(r"""\.?([A-Za-z_][\w$]*|"[^"]*")|\[(\d+)\]|\['([^']*)'\]""")


@dataclass(frozen=True)
class _Call:
    input: exp.Expr
    path: str = ""
    outer: bool = False
    recursive: bool = False
    mode: str = "BOTH"


def rewrite(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.Lateral | exp.TableFromRows) or not isinstance(node.this, exp.Explode):
        return node
    join = node.parent
    if isinstance(join, exp.Join) and join.side and not join.args.get("on"):
        join.set("on", exp.true())
    return source(node, _macro(_call(node.this)))


def _macro(call: _Call) -> exp.Anonymous:
    texts = (exp.Literal.string(text) for text in (json_path(call.path), call.path))
    flags = (exp.Boolean(this=flag) for flag in (call.outer, call.recursive))
    given = (call.input, *texts, *flags, exp.Literal.string(call.mode))
    macro = "_flattened" if call.input.find(exp.Column) else "_flattened_in_order"
    return exp.Anonymous(this=macro, expressions=list(given))


def _call(explode: exp.Explode) -> _Call:
    given: dict[str, exp.Expr] = {}
    for item in (explode.this, *explode.expressions):
        name, value = (item.name.upper(), item.expression) if isinstance(item, exp.Kwarg) else ("INPUT", item)
        if name not in ("INPUT", "PATH", "OUTER", "RECURSIVE", "MODE") or name in given:
            raise compilation(1044, "42P13", f"Invalid argument name '{name}' for table function 'FLATTEN'")
        given[name] = value
    if "INPUT" not in given:
        raise compilation(1045, "42P13", "Missing argument 'INPUT' of table function 'FLATTEN'")
    mode = _text(given, "MODE", "BOTH").upper()
    if mode not in _MODES:
        raise compilation(1045, "42P13", f"Invalid value '{mode}' of argument 'MODE' of table function 'FLATTEN'")
    return _Call(given["INPUT"], _text(given, "PATH", ""), _flag(given, "OUTER"), _flag(given, "RECURSIVE"), mode)


def _text(given: dict[str, exp.Expr], name: str, default: str) -> str:
    value = given.get(name)
    if value is None:
        return default
    if not value.is_string:
        raise unsupported(f"FLATTEN with a {name} that is not a literal")
    return value.name


def _flag(given: dict[str, exp.Expr], name: str) -> bool:
    value = given.get(name, exp.false())
    if not isinstance(value, exp.Boolean):
        raise unsupported(f"FLATTEN with a {name} that is not TRUE or FALSE")
    return bool(value.this)


def json_path(written: str) -> str:
    """Convert ``a.b[0]`` or ``['a key']`` to a DuckDB JSON path."""
    steps, at = [], 0
    while at < len(written):
        found = _STEP.match(written, at)
        if found is None:
            raise compilation(1003, "42000", f"syntax error in the path '{written}'.")
        word, index, key = found.groups()
        steps.append(f"[{index}]" if index else '."' + (key or word).strip('"') + '"')
        at = found.end()
    return "$" + "".join(steps)
