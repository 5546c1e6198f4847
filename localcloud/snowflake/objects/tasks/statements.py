"""CREATE, ALTER, EXECUTE, DROP, SHOW and DESCRIBE TASK.

A task is created suspended. A graph can be changed only while its root is suspended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from localcloud.snowflake.failures import compilation, failure
from localcloud.snowflake.objects.feature import Columns
from localcloud.snowflake.objects.tasks import functions
from localcloud.snowflake.objects.tasks import syntax as ast
from localcloud.snowflake.objects.tasks.scheduler import Scheduler
from localcloud.snowflake.objects.tasks.state import Task, Tasks
from localcloud.snowflake.result import Result, rows_result, status
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Alter, Name, Path

_TIME = "timestamp_ltz"
COLUMNS: Columns = [
    *[("created_on", _TIME), ("name", "text"), ("id", "text"), ("database_name", "text"), ("schema_name", "text")],
    *[("owner", "text"), ("comment", "text"), ("warehouse", "text"), ("schedule", "text"), ("predecessors", "text")],
    *[("state", "text"), ("definition", "text"), ("condition", "text"), ("allow_overlapping_execution", "text")],
    *[("error_integration", "text"), ("last_committed_on", _TIME), ("last_suspended_on", _TIME)],
    *[("owner_role_type", "text"), ("config", "text"), ("task_relations", "text"), ("last_suspended_reason", "text")],
]


def make(session: Session, statement: ast.CreateTask, path: Path, _runner: Runner) -> Task:
    tasks = session.account.state(Tasks)
    with tasks.lock:
        options = _options(session, path, statement.options)
        after = _predecessors(session, path, statement.after)
        _refuse_mixed(options, after)
        old = tasks.get(path)
        if old is not None and (old.after or tasks.children(old)):
            tasks.require_suspended(old)
            tasks.refuse_cycle(old, after)
    return Task(
        path=path,
        owner=session.role,
        created=session.account.clock.now(),
        comment=statement.comment or "",
        options=options,
        after=after,
        when=statement.when,
        body=statement.body,
    )


def _options(session: Session, path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    options = dict(given)
    if "WAREHOUSE" in options and "USER_TASK_MANAGED_INITIAL_WAREHOUSE_SIZE" in options:
        raise compilation(1003, "42000", "WAREHOUSE and USER_TASK_MANAGED_INITIAL_WAREHOUSE_SIZE exclude each other.")
    if "CONFIG" in options:
        _refuse_wrong_config(options["CONFIG"])
    if (root := options.get("FINALIZE")) is not None:
        tasks, options["FINALIZE"] = session.account.state(Tasks), _in_same_schema(session, path, root)
        found = tasks.require(options["FINALIZE"])
        tasks.require_suspended(found)
        if found.after or found.finalizes or (tasks.finalizer(found) or found).path not in (path, found.path):
            raise compilation(91_423, "22000", f"Invalid finalized root task {found.full_name}.")
    return options


def _refuse_wrong_config(text: str) -> None:
    try:
        valid = isinstance(json.loads(text), dict)
    except ValueError:
        valid = False
    if not valid:
        raise compilation(1008, "22023", f"invalid value [{text}] for parameter 'CONFIG'")


def _in_same_schema(session: Session, path: Path, name: Name) -> Path:
    """The path of another task of the same graph, which must be in the same schema."""
    found = session.path(name)
    if found[:2] != path[:2]:
        raise compilation(91_424, "22000", "All tasks of a graph must be in the same schema.")
    return found


def _predecessors(session: Session, path: Path, names: tuple[Name, ...]) -> set[Path]:
    found = {_in_same_schema(session, path, name) for name in names}
    for predecessor in found:
        session.account.state(Tasks).require_suspended(session.account.state(Tasks).require(predecessor))
    return found


def _refuse_mixed(options: dict[str, Any], after: set[Path]) -> None:
    if after and ("SCHEDULE" in options or "FINALIZE" in options):
        raise compilation(91_425, "22000", "A task with predecessors can have neither a schedule nor FINALIZE.")
    if "SCHEDULE" in options and "FINALIZE" in options:
        raise compilation(91_425, "22000", "A finalizer task cannot have a schedule.")


def alter(session: Session, task: Task, statement: Alter, _runner: Runner) -> None:
    tasks = session.account.state(Tasks)
    with tasks.lock:
        if statement.action == "RESUME":
            tasks.resume(task, session.account.clock.now())
        elif statement.action == "SUSPEND":
            _suspend(session, task)
        else:
            tasks.require_suspended(task)
            _change(session, task, statement)
            task.version += 1
    session.account.state(Scheduler).wake()


def _suspend(session: Session, task: Task) -> None:
    if task.after or task.finalizes is not None:
        session.account.state(Tasks).require_suspended(task)
    if task.started:
        task.started, task.next_run = False, None
        task.suspended, task.suspended_reason = session.account.clock.now(), "USER_SUSPENDED"


def _change(session: Session, task: Task, statement: Alter) -> None:
    tasks, given = session.account.state(Tasks), dict(statement.options)
    given.pop("COMMENT", None)
    if statement.action == "SET":
        options = {**task.options, **_options(session, task.path, given)}
        _refuse_mixed(options, task.after)
        task.options = options
    elif statement.action == "UNSET":
        task.options = {name: value for name, value in task.options.items() if name not in given}
    elif statement.action == "ADD AFTER":
        added = _predecessors(session, task.path, given["AFTER"])
        tasks.refuse_cycle(task, added)
        _refuse_mixed(task.options, added)
        task.after |= added
    elif statement.action == "REMOVE AFTER":
        task.after -= {_in_same_schema(session, task.path, name) for name in given["AFTER"]}
    elif statement.action == "MODIFY AS":
        task.body = given["TEXT"]
    else:
        task.when = given.get("TEXT")


def execute_task(session: Session, statement: ast.ExecuteTask) -> Result:
    task = session.account.state(Tasks).require(session.path(statement.name))
    if task.after or task.finalizes is not None:
        raise failure(91_427, "22000", f"Task {task.full_name} is not a root task and cannot be executed by itself.")
    failed = any(run.state.startswith("FAILED") for run in task.last.values())
    if statement.retry_last and not failed:
        raise failure(91_428, "22000", f"Cannot retry task {task.full_name}: its last run has not failed.")
    session.account.state(Scheduler).ask(task, retry=statement.retry_last)
    return status(f"Task {task.path[2]} is scheduled to run immediately.")


def check_drop(session: Session, task: Task) -> None:
    tasks = session.account.state(Tasks)
    if task.after or task.finalizes or tasks.children(task):
        tasks.require_suspended(task)


def dropped(account: Account, task: Task) -> None:
    account.state(Tasks).forget_predecessor(task)


def system_call(session: Session, statement: ast.SystemCall) -> Result:
    functions.set_return_value(session, statement.arguments[0])
    return rows_result([(statement.function, "text")], [[None]], 0)


def row(session: Session, task: Task) -> list[Any]:
    known, predecessors = session.account.state(Tasks), [".".join(path) for path in sorted(task.after)]
    relations: dict[str, Any] = {"Predecessors": predecessors}
    if (finalizer := known.finalizer(task)) is not None:
        relations["FinalizerTask"] = finalizer.full_name
    if task.finalizes is not None:
        relations["FinalizedRootTask"] = ".".join(task.finalizes)
    return [
        *[task.created, task.path[2], task.id, task.path[0], task.path[1], task.owner, task.comment],
        *[task.options.get("WAREHOUSE"), task.options.get("SCHEDULE"), json.dumps(predecessors)],
        *["started" if task.started else "suspended", task.body, task.when],
        *[
            "true" if task.options.get("ALLOW_OVERLAPPING_EXECUTION") else "false",
            "null",
            task.committed,
            task.suspended,
        ],
        *["ROLE", task.options.get("CONFIG"), json.dumps(relations), task.suspended_reason],
    ]
