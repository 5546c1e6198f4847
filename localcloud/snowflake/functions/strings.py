"""String functions: TRIM, LTRIM, RTRIM, REGEXP_REPLACE and REGEXP_COUNT with all parameters, CHR, SOUNDEX, CONCAT."""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import compilation, unsupported

_NAMES = {"LEADING": "LTRIM", "TRAILING": "RTRIM"}


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Trim):
        return _trimmed(node)
    if isinstance(node, exp.RegexpCount):
        return _counted(node)
    if isinstance(node, exp.Chr) and len(node.expressions) == 1:
        return _call("_chr", node.expressions[0])
    if isinstance(node, exp.Concat) and len(node.expressions) == 1:
        return _call("_text", node.expressions[0])
    if isinstance(node, exp.Soundex):
        return _call("_soundex", node.this)
    return _replaced(node) if isinstance(node, exp.RegexpReplace) else node


def _trimmed(node: exp.Trim) -> exp.Expr:
    """Any of the characters of the second argument, by default blanks, is removed; a NULL argument gives NULL."""
    name = _NAMES.get(str(node.args.get("position") or "").upper(), "TRIM")
    parts = [node.this] if node.expression is None else [node.this, node.expression]
    texts = [exp.Anonymous(this="_text", expressions=[part]) for part in parts]
    return exp.Anonymous(this=name, expressions=texts)


def _replaced(node: exp.RegexpReplace) -> exp.Expr:
    """Snowflake replaces every match; ``occurrence`` selects one, ``position`` is where the search begins."""
    replacement = node.args.get("replacement") or exp.Literal.string("")
    pattern = _with_flags(node.expression, node.args.get("modifiers"))
    position, occurrence = node.args.get("position"), node.args.get("occurrence")
    if _is_number(position, "1") and _is_number(occurrence, "0"):
        return _call("REGEXP_REPLACE", node.this, pattern, replacement, exp.Literal.string("g"))
    numbers = [value or exp.Literal.number(default) for value, default in ((position, 1), (occurrence, 0))]
    return _call("_regexp_replaced", node.this, pattern, replacement, *numbers)


def _counted(node: exp.RegexpCount) -> exp.Expr:
    pattern = _with_flags(node.expression, node.args.get("parameters"))
    position = node.args.get("position")
    text = node.this if position is None or _is_number(position, "1") else _call("SUBSTR", node.this, position)
    return _call("_regexp_count", text, pattern)


def _with_flags(pattern: exp.Expr, written: exp.Expr | None) -> exp.Expr:
    """The pattern with Snowflake's parameters as flags of the regular expression."""
    if written is None:
        return pattern
    if not written.is_string:
        raise unsupported("regular expressions with parameters that are not a literal")
    if wrong := set(written.name) - set("cimse"):
        raise compilation(1044, "22023", f"Invalid regular expression parameters: '{''.join(sorted(wrong))}'")
    # The last one of c and i counts.
    case = [letter for letter in written.name if letter in "ci"][-1:]
    flags = "".join(letter for letter in "ms" if letter in written.name) + ("i" if case == ["i"] else "")
    return exp.DPipe(this=exp.Literal.string(f"(?{flags})"), expression=pattern, safe=True) if flags else pattern


def _is_number(value: exp.Expr | None, default: str) -> bool:
    return value is None or (isinstance(value, exp.Literal) and value.name == default)


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])
