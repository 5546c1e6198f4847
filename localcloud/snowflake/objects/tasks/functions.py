"""System functions of tasks, and the table functions TASK_HISTORY and TASK_DEPENDENTS.

As in Snowflake, functions that refer to the running task fail outside of one.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlglot import exp

from localcloud.snowflake.failures import compilation, failure, unsupported
from localcloud.snowflake.functions.table import information_schema
from localcloud.snowflake.objects.tasks.scheduler import Scheduler
from localcloud.snowflake.objects.tasks.state import Run, Task, Tasks
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.tokens import TokenStream

NAMES = (
    *("SYSTEM$SET_RETURN_VALUE", "SYSTEM$GET_PREDECESSOR_RETURN_VALUE", "SYSTEM$CURRENT_USER_TASK_NAME"),
    *("SYSTEM$TASK_RUNTIME_INFO", "SYSTEM$TASK_DEPENDENTS_ENABLE", "SYSTEM$GET_TASK_GRAPH_CONFIG"),
)
_LARGEST_VALUE = 10 * 1024
_TIME = "timestamp_ltz"
HISTORY = [
    *[("QUERY_ID", "text"), ("NAME", "text"), ("DATABASE_NAME", "text"), ("SCHEMA_NAME", "text")],
    *[("QUERY_TEXT", "text"), ("CONDITION_TEXT", "text"), ("STATE", "text"), ("ERROR_CODE", "text")],
    *[("ERROR_MESSAGE", "text"), ("SCHEDULED_TIME", _TIME), ("QUERY_START_TIME", _TIME)],
    *[("NEXT_SCHEDULED_TIME", _TIME), ("COMPLETED_TIME", _TIME), ("ROOT_TASK_ID", "text")],
    *[("GRAPH_VERSION", "fixed"), ("RUN_ID", "fixed"), ("RETURN_VALUE", "text"), ("SCHEDULED_FROM", "text")],
    *[("ATTEMPT_NUMBER", "fixed"), ("CONFIG", "text"), ("GRAPH_RUN_GROUP_ID", "text")],
]
DEPENDENTS = [
    *[("CREATED_ON", _TIME), ("NAME", "text"), ("ID", "text"), ("DATABASE_NAME", "text"), ("SCHEMA_NAME", "text")],
    *[("OWNER", "text"), ("COMMENT", "text"), ("WAREHOUSE", "text"), ("SCHEDULE", "text"), ("PREDECESSORS", "text")],
    *[("STATE", "text"), ("DEFINITION", "text"), ("CONDITION", "text")],
]


def call(node: exp.Anonymous, session: Session) -> exp.Expr:
    """The result of a function in ``NAMES`` as a literal."""
    name = str(node.this).upper()
    argument = node.expressions[0].name if node.expressions else None
    if name == "SYSTEM$TASK_DEPENDENTS_ENABLE":
        _enable(session, argument or "")
        return exp.Null()
    if name == "SYSTEM$SET_RETURN_VALUE":
        set_return_value(session, argument or "")
        return exp.Null()
    run = _running(session, name)
    if name == "SYSTEM$CURRENT_USER_TASK_NAME":
        return _text(run.task.full_name)
    if name == "SYSTEM$GET_PREDECESSOR_RETURN_VALUE":
        return _text(_predecessor(run, argument).return_value)
    if name == "SYSTEM$GET_TASK_GRAPH_CONFIG":
        return _text(_config(run.root, argument))
    return _text(_runtime_info(run, (argument or "").upper()))


def _text(value: str | None) -> exp.Expr:
    return exp.Null() if value is None else exp.Literal.string(value)


def _running(session: Session, name: str) -> Run:
    run = session.states.find(Run)
    if run is None:
        raise failure(91_429, "22000", f"Function {name} must be called from within a task.")
    return run


def set_return_value(session: Session, value: str) -> None:
    if len(value.encode()) > _LARGEST_VALUE:
        raise failure(91_430, "22000", "The return value of a task is limited to 10 kB.")
    _running(session, "SYSTEM$SET_RETURN_VALUE").return_value = value


def _predecessor(run: Run, name: str | None) -> Run:
    """A direct predecessor or, if a name is given, an ancestor. Names are case-sensitive."""
    direct = [found for path, found in run.before.items() if path in run.task.after]
    if name is None and len(direct) == 1:
        return direct[0]
    for found in [*direct, *run.before.values()]:
        if name is not None and found.task.path[2] == name:
            return found
    raise failure(
        91_431, "22000", f"Task {run.task.full_name} has no such enabled predecessor: {name or 'specify its name'}."
    )


def _config(root: Task, key: str | None) -> str | None:
    config = root.options.get("CONFIG")
    if key is None or config is None:
        return str(config) if config is not None else None
    value = json.loads(config).get(key)
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _runtime_info(run: Run, key: str) -> str:
    known = {
        "CURRENT_ROOT_TASK_UUID": run.root.id,
        "CURRENT_ROOT_TASK_NAME": run.root.full_name,
        "CURRENT_TASK_NAME": run.task.full_name,
        "CURRENT_TASK_GRAPH_ORIGINAL_SCHEDULED_TIMESTAMP": run.scheduled.isoformat(sep=" ", timespec="milliseconds"),
        "CURRENT_TASK_GRAPH_RUN_GROUP_ID": run.group,
    }
    if key not in known:
        raise unsupported(f"SYSTEM$TASK_RUNTIME_INFO('{key}')")
    return known[key]


def _named(session: Session, text: str) -> Task:
    return session.account.state(Tasks).require(session.path(TokenStream(text).name()))


def _enable(session: Session, text: str) -> None:
    """Resume all descendants of the root, then the root itself."""
    tasks, root = session.account.state(Tasks), _named(session, text)
    with tasks.lock:
        finalizer = tasks.finalizer(root)
        for task in [*reversed(tasks.below(root)[1:]), *([finalizer] if finalizer else []), root]:
            tasks.resume(task, session.account.clock.now())
    session.account.state(Scheduler).wake()


def rewrite(node: exp.Expr, session: Session, runner: Runner) -> exp.Expr:
    """Replace ``TABLE(INFORMATION_SCHEMA.TASK_HISTORY(..))`` with a temporary table; return any other node unchanged."""
    if (found := information_schema.called(node, ("TASK_HISTORY", "TASK_DEPENDENTS"))) is None:
        return node
    name, asked = found
    if name == "TASK_HISTORY":
        given = information_schema.arguments(session, runner, name, asked, _HISTORY_ARGUMENTS)
        return information_schema.answered(session, node, HISTORY, _history(session, **given))
    given = information_schema.arguments(session, runner, name, asked, ("TASK_NAME", "RECURSIVE"))
    return information_schema.answered(session, node, DEPENDENTS, _dependents(session, **given))


_HISTORY_ARGUMENTS = (
    *("SCHEDULED_TIME_RANGE_START", "SCHEDULED_TIME_RANGE_END", "RESULT_LIMIT", "TASK_NAME", "ERROR_ONLY"),
    "ROOT_TASK_ID",
)


def _history(
    session: Session,
    scheduled_time_range_start: datetime | None = None,
    scheduled_time_range_end: datetime | None = None,
    result_limit: int = 100,
    task_name: str | None = None,
    error_only: bool = False,
    root_task_id: str | None = None,
) -> list[list[Any]]:
    """Runs, latest first. The next run of a started root is listed as scheduled."""
    if not 1 <= result_limit <= 10_000:
        raise compilation(1044, "42P13", "RESULT_LIMIT must be between 1 and 10000.")
    tasks = session.account.state(Tasks)
    with tasks.lock:
        runs = list(tasks.history)
        coming = [Run(task, task, task.next_run, "SCHEDULE", 1, "", 0) for task in tasks.all() if task.next_run]
    found = [
        run
        for run in [*runs, *coming]
        if (task_name is None or run.task.path[2].upper() == task_name.upper())
        and (not error_only or run.state.startswith("FAILED") or run.state == "CANCELLED")
        and (root_task_id is None or run.root.id == root_task_id)
        and (scheduled_time_range_start is None or run.scheduled >= scheduled_time_range_start)
        and (scheduled_time_range_end is None or run.scheduled <= scheduled_time_range_end)
    ]
    found.sort(key=lambda run: (run.scheduled, run.run_id or float("inf")), reverse=True)
    return [_run_row(run) for run in found[:result_limit]]


def _run_row(run: Run) -> list[Any]:
    task = run.task
    return [
        *[run.query_id, task.path[2], task.path[0], task.path[1], task.body, task.when, run.state],
        *[run.error_code, run.error_message, run.scheduled, run.started, run.root.next_run, run.completed],
        *[run.root.id, run.root.version, run.run_id or None, run.return_value, run.source, run.attempt],
        *[run.root.options.get("CONFIG"), run.group or None],
    ]


def _dependents(session: Session, task_name: str = "", recursive: bool = True) -> list[list[Any]]:
    task, tasks = _named(session, task_name), session.account.state(Tasks)
    found = tasks.below(task) if recursive else [task, *tasks.children(task)]
    return [
        [
            *[item.created, item.path[2], item.id, item.path[0], item.path[1], item.owner, item.comment],
            *[item.options.get("WAREHOUSE"), item.options.get("SCHEDULE")],
            *[json.dumps([".".join(path) for path in sorted(item.after)]), "started" if item.started else "suspended"],
            *[item.body, item.when],
        ]
        for item in found
    ]
