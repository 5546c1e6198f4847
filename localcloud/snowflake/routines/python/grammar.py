"""Grammar of CREATE FUNCTION and CREATE PROCEDURE in Python, and of CALL.

Clauses may appear in any order, and only some of them have an equals sign, so each clause has its own rule and the
order is not checked.
"""

from __future__ import annotations

from typing import Any

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.objects.feature import CreateHead, Options
from localcloud.snowflake.routines.python import syntax as ast
from localcloud.snowflake.sql.syntax import Argument, StagePath, Statement, Type
from localcloud.snowflake.sql.tokens import OptionParser, TokenStream, text_option, wrong_value
from localcloud.snowflake.sql.types import sql_type

_UNSUPPORTED = (
    *("EXTERNAL_ACCESS_INTEGRATIONS", "SECRETS", "ARTIFACT_REPOSITORY", "RESOURCE_CONSTRAINT"),
    *("TARGET_PATH", "LOG_LEVEL", "TRACE_LEVEL"),
)


def _runtime(stream: TokenStream, _name: str) -> str:
    return stream.word()


def _texts(stream: TokenStream, _name: str) -> tuple[str, ...]:
    return () if stream.accept("(", ")") else stream.strings()


def _imports(stream: TokenStream, name: str) -> tuple[StagePath, ...]:
    found = []
    for text in _texts(stream, name):
        if not text.startswith("@"):
            raise wrong_value(name, text)
        found.append(TokenStream(f"'{text}'").stage_path())
    return tuple(found)


_OPTIONS: dict[str, OptionParser] = {
    "RUNTIME_VERSION": _runtime,
    "PACKAGES": _texts,
    "IMPORTS": _imports,
    "HANDLER": text_option,
    "COMMENT": text_option,
}


def create_function(stream: TokenStream, head: CreateHead) -> Statement:
    fields = _routine(stream, head, execute_as=False)
    return head.make(ast.CreateFunction, **fields)


def create_procedure(stream: TokenStream, head: CreateHead) -> Statement:
    return head.make(ast.CreateProcedure, **_routine(stream, head, execute_as=True))


def _routine(stream: TokenStream, head: CreateHead, *, execute_as: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {"secure": "SECURE" in head.modifiers}
    fields |= _signature(stream)
    fields |= _clauses(stream, execute_as=execute_as)
    return fields


def _signature(stream: TokenStream) -> dict[str, Any]:
    arguments, defaults = _arguments(stream)
    fields: dict[str, Any] = {"arguments": arguments, "defaults": defaults}
    if stream.accept("COPY", "GRANTS"):
        fields["copy_grants"] = True
    stream.expect("RETURNS")
    if stream.accept("TABLE"):
        fields["table"] = _columns(stream)
        fields["returns"] = Type("TABLE")
    else:
        fields["returns"] = sql_type(stream)
    fields["not_null"] = stream.accept("NOT", "NULL")
    if not fields["not_null"]:
        stream.accept("NULL")
    return fields


def _arguments(stream: TokenStream) -> tuple[tuple[Argument, ...], tuple[str, ...]]:
    stream.expect("(")
    found: list[Argument] = []
    defaults: list[str] = []
    while not stream.accept(")"):
        if found:
            stream.expect(",")
        found.append(Argument(stream.identifier(), sql_type(stream)))
        if stream.accept("DEFAULT"):
            defaults.append(stream.expression())
        elif defaults:
            raise stream.unexpected()
    _check_distinct(found)
    return tuple(found), tuple(defaults)


def _columns(stream: TokenStream) -> tuple[Argument, ...]:
    stream.expect("(")
    found: list[Argument] = []
    while not stream.accept(")"):
        if found:
            stream.expect(",")
        found.append(Argument(stream.identifier(), sql_type(stream)))
    _check_distinct(found)
    return tuple(found)


def _check_distinct(found: list[Argument]) -> None:
    names = [argument.name for argument in found]
    if len(set(names)) != len(names):
        raise compilation(1003, "42000", "duplicate argument name in function signature.")


def _clauses(stream: TokenStream, *, execute_as: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    options: dict[str, Any] = {}
    language = None
    while not stream.done and stream.words(1) not in (("AS",), ("CALL",)):
        if stream.accept("LANGUAGE"):
            language = stream.identifier()
            _check_language(language)
        elif (flag := _flag(stream)) is not None:
            fields |= flag
        elif execute_as and stream.accept("EXECUTE", "AS"):
            fields["as_caller"] = _runs_as_caller(stream)
        else:
            _option(stream, options)
    if language is None:
        _check_language("SQL")
    _require(options)
    body = stream.string() if stream.accept("AS") else None
    if body is None and "IMPORTS" not in options:
        raise compilation(1003, "42000", "syntax error: expected AS with the handler's code, or IMPORTS.")
    fields["comment"] = options.get("COMMENT")
    fields["code"] = ast.Code(
        options["HANDLER"], options["RUNTIME_VERSION"], body, options.get("PACKAGES", ()), options.get("IMPORTS", ())
    )
    return fields


def _runs_as_caller(stream: TokenStream) -> bool:
    if stream.accept("RESTRICTED", "CALLER"):
        raise unsupported("procedures that EXECUTE AS RESTRICTED CALLER")
    return stream.one_of("CALLER", "OWNER") == "CALLER"


_FLAGS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("CALLED", "ON", "NULL", "INPUT"), {"strict": False}),
    (("RETURNS", "NULL", "ON", "NULL", "INPUT"), {"strict": True}),
    (("STRICT",), {"strict": True}),
    (("VOLATILE",), {"immutable": False}),
    (("IMMUTABLE",), {"immutable": True}),
    (("COPY", "GRANTS"), {"copy_grants": True}),
)


def _flag(stream: TokenStream) -> dict[str, Any] | None:
    return next((fields for words, fields in _FLAGS if stream.accept(*words)), None)


def _check_language(language: str) -> None:
    if language != "PYTHON":
        raise unsupported(f"functions and procedures in LANGUAGE {language}; write them in Python")


def _option(stream: TokenStream, options: dict[str, Any]) -> None:
    words = stream.words(2)
    if len(words) < 2 or words[1] != "=":
        raise stream.unexpected()
    name = stream.identifier()
    if name in _UNSUPPORTED:
        raise unsupported(f"{name} of functions and procedures")
    if name not in _OPTIONS:
        raise compilation(1420, "22023", f"invalid parameter '{name}'")
    if name in options:
        raise compilation(1427, "22023", f"duplicate property '{name}'")
    stream.expect("=")
    options[name] = _OPTIONS[name](stream, name)


def _require(options: dict[str, Any]) -> None:
    missing = [name for name in ("RUNTIME_VERSION", "HANDLER") if name not in options]
    if missing:
        raise compilation(2029, "42601", f"Missing option(s): [{', '.join(missing)}]")


def execute_as(stream: TokenStream) -> Options:
    return {"CALLER": _runs_as_caller(stream)}


def call(stream: TokenStream) -> Statement:
    stream.expect("CALL")
    name = stream.name()
    return ast.Call(name, stream.parenthesised())


def is_anonymous(stream: TokenStream) -> bool:
    """Whether WITH defines an anonymous procedure rather than a common table expression."""
    words = stream.words(4)
    return words[:1] == ("WITH",) and words[2:4] == ("AS", "PROCEDURE")


def call_anonymous(stream: TokenStream) -> Statement:
    stream.expect("WITH")
    name = stream.name()
    stream.expect("AS", "PROCEDURE")
    head = CreateHead(name, or_replace=False, if_not_exists=False, modifiers=frozenset())
    definition: Any = create_procedure(stream, head)
    called = call(stream)
    assert isinstance(called, ast.Call)
    if called.name != name:
        raise compilation(2140, "42601", f"Unknown function {called.name}")
    return ast.Call(name, called.arguments, definition)
