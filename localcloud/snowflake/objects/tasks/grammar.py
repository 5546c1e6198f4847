"""Grammar of CREATE, ALTER, EXECUTE and DESCRIBE TASK. Notifications, triggered tasks and serverless sizing options are
not supported."""

from __future__ import annotations

from typing import Any

from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.objects.account.grammar import WAREHOUSE_SIZES
from localcloud.snowflake.objects.feature import CreateHead, Options
from localcloud.snowflake.objects.tasks import syntax as ast
from localcloud.snowflake.objects.tasks.schedule import parse_schedule
from localcloud.snowflake.sql.syntax import Name, Statement
from localcloud.snowflake.sql.tokens import (
    OptionParser,
    TokenStream,
    boolean_option,
    choice_option,
    integer_option,
    text_option,
)


def _schedule(stream: TokenStream, name: str) -> str:
    text = text_option(stream, name)
    parse_schedule(text)
    return text


def _warehouse(stream: TokenStream, _name: str) -> str:
    try:
        return stream.string()
    except ProgrammingError:
        return stream.identifier()


def _finalize(stream: TokenStream, _name: str) -> Name:
    return stream.name()


def _refused(_stream: TokenStream, name: str) -> Any:
    raise unsupported(f"the option {name} of tasks")


OPTIONS: dict[str, OptionParser] = {
    "WAREHOUSE": _warehouse,
    "USER_TASK_MANAGED_INITIAL_WAREHOUSE_SIZE": choice_option(*WAREHOUSE_SIZES),
    "SCHEDULE": _schedule,
    "CONFIG": text_option,
    "ALLOW_OVERLAPPING_EXECUTION": boolean_option,
    "USER_TASK_TIMEOUT_MS": integer_option(0, 604_800_000),
    "SUSPEND_TASK_AFTER_NUM_FAILURES": integer_option(0, 2**31),
    "TASK_AUTO_RETRY_ATTEMPTS": integer_option(0, 30),
    "COMMENT": text_option,
    "FINALIZE": _finalize,
    "QUERY_TAG": text_option,
    "TIMEZONE": text_option,
    "STATEMENT_TIMEOUT_IN_SECONDS": integer_option(0, 604_800),
    "LOCK_TIMEOUT": integer_option(0, 2**31),
    **dict.fromkeys(
        (
            *("ERROR_INTEGRATION", "SUCCESS_INTEGRATION", "USER_TASK_MINIMUM_TRIGGER_INTERVAL_IN_SECONDS"),
            *("TARGET_COMPLETION_INTERVAL", "SERVERLESS_TASK_MIN_STATEMENT_SIZE", "SERVERLESS_TASK_MAX_STATEMENT_SIZE"),
        ),
        _refused,
    ),
}
SESSION_PARAMETERS = ("QUERY_TAG", "TIMEZONE", "STATEMENT_TIMEOUT_IN_SECONDS", "LOCK_TIMEOUT")


def create_task(stream: TokenStream, head: CreateHead) -> Statement:
    options: dict[str, Any] = {}
    after: tuple[Name, ...] = ()
    while stream.words(1) not in (("AS",), ("WHEN",), ()):
        if stream.accept("AFTER"):
            after = _names(stream)
            continue
        given = stream.options(OPTIONS, until=("AFTER", "WHEN", "AS"))
        if not given:
            raise stream.unexpected()
        for name, value in given.items():
            if name in options:
                raise compilation(1427, "22023", f"duplicate property '{name}'")
            options[name] = value
    when = _text_until_as(stream) if stream.accept("WHEN") else None
    stream.expect("AS")
    comment = options.pop("COMMENT", None)
    return head.make(ast.CreateTask, comment=comment, options=options, after=after, when=when, body=_body(stream))


def _names(stream: TokenStream) -> tuple[Name, ...]:
    names = [stream.name()]
    while stream.accept(","):
        names.append(stream.name())
    return tuple(names)


def _text_until_as(stream: TokenStream) -> str:
    """The condition: the text up to the first AS outside parentheses."""
    start = stream.position
    while stream.words(1) != ("AS",):
        if stream.done:
            raise stream.unexpected()
        if stream.words(1) == ("(",):
            stream.parenthesised()
        else:
            stream.skip()
    return stream.sql[start : stream.position].strip()


def _body(stream: TokenStream) -> str:
    if stream.words(1) in (("BEGIN",), ("DECLARE",)):
        raise unsupported(
            "Snowflake Scripting blocks as the body of a task; use a single statement or CALL a procedure"
        )
    return _rest(stream)


def _rest(stream: TokenStream) -> str:
    text = stream.sql[stream.position :].strip().rstrip(";").strip()
    if not text:
        raise stream.unexpected()
    while not stream.done:
        stream.skip()
    return text


def settings(stream: TokenStream) -> Options:
    return stream.options(OPTIONS)


def after(stream: TokenStream) -> Options:
    return {"AFTER": _names(stream)}


def body(stream: TokenStream) -> Options:
    return {"TEXT": _body(stream)}


def condition(stream: TokenStream) -> Options:
    return {"TEXT": _rest(stream)}


def execute_task(stream: TokenStream) -> Statement:
    stream.expect("EXECUTE", "TASK")
    name = stream.name()
    if stream.accept("USING"):
        raise unsupported("EXECUTE TASK ... USING CONFIG")
    return ast.ExecuteTask(name, stream.accept("RETRY", "LAST"))


def system_call(stream: TokenStream) -> Statement:
    stream.expect("CALL")
    name = stream.identifier()
    return ast.SystemCall(name, stream.strings())
