"""Tasks of one server and the history of their runs.

A graph is not an object: it consists of the tasks that depend on a root through AFTER, and its state is that of the
root.
"""

from __future__ import annotations

import itertools
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localcloud.snowflake.failures import compilation, failure
from localcloud.snowflake.objects.store import SchemaObject, Store
from localcloud.snowflake.objects.tasks.schedule import parse_schedule
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.syntax import Path

_KEPT_RUNS = 10_000
DEFAULT_FAILURES = 10
DEFAULT_TIMEOUT_MS = 3_600_000


@dataclass(eq=False, kw_only=True)
class Task(SchemaObject):
    """A task. Only a started root has ``next_run``; ``failures`` counts consecutive graph runs; ``last`` holds the last
    run of each task."""

    options: dict[str, Any]
    after: set[Path]
    when: str | None
    body: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: bool = False
    next_run: datetime | None = None
    committed: datetime | None = None
    suspended: datetime | None = None
    suspended_reason: str | None = None
    version: int = 1
    failures: int = 0
    running: int = 0
    last: dict[Path, Run] = field(default_factory=dict)

    @property
    def finalizes(self) -> Path | None:
        found: Path | None = self.options.get("FINALIZE")
        return found

    def next_after(self, moment: datetime) -> datetime | None:
        schedule = self.options.get("SCHEDULE")
        return parse_schedule(schedule).after(moment) if schedule else None


@dataclass
class Run:
    """One run of a task: a row of TASK_HISTORY."""

    task: Task
    root: Task
    scheduled: datetime
    source: str
    attempt: int
    group: str
    run_id: int
    state: str = "SCHEDULED"
    query_id: str | None = None
    started: datetime | None = None
    completed: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    return_value: str | None = None
    before: dict[Path, Run] = field(default_factory=dict)


class Tasks(State):
    """The task graphs of an account and their history. ``lock`` guards all state, and public methods acquire it."""

    def __init__(self, objects: Store[Task]) -> None:
        self.objects = objects
        self.lock = objects.lock
        self.history: deque[Run] = deque(maxlen=_KEPT_RUNS)
        self.run_ids = itertools.count(1)

    def get(self, path: Path) -> Task | None:
        return self.objects.at(path)

    def require(self, path: Path) -> Task:
        if (task := self.get(path)) is None:
            raise self.objects.missing(path)
        return task

    def forget_predecessor(self, dropped: Task) -> None:
        """Remove a dropped task from the predecessors of other tasks."""
        with self.lock:
            for task in self.objects.all():
                task.after.discard(dropped.path)

    def all(self) -> list[Task]:
        return sorted(self.objects.all(), key=lambda task: task.path)

    def children(self, task: Task) -> list[Task]:
        return [other for other in self.all() if task.path in other.after]

    def finalizer(self, root: Task) -> Task | None:
        return next((task for task in self.all() if task.finalizes == root.path), None)

    def roots(self, task: Task) -> list[Task]:
        """The roots above a task; the task itself if it has no predecessors."""
        above = [task.finalizes] if task.finalizes else sorted(task.after)
        parents = [parent for path in above if (parent := self.get(path)) is not None]
        found = {root.path: root for parent in parents for root in self.roots(parent)}
        return [found[path] for path in sorted(found)] or [task]

    def below(self, root: Task) -> list[Task]:
        """The root and all its descendants in topological order."""
        found, waiting = [root], [task for task in self.all() if task is not root and root in self.roots(task)]
        waiting = [task for task in waiting if task.finalizes is None]
        while waiting:
            paths = {task.path for task in waiting}
            ready = [task for task in waiting if not task.after & paths]
            found += ready
            waiting = [task for task in waiting if task not in ready]
        return found

    def require_suspended(self, task: Task) -> None:
        """Raise if a root of the task is not suspended: a graph can be changed only while its root is suspended."""
        for root in self.roots(task):
            if root.started:
                raise failure(
                    91_421,
                    "22000",
                    f"Unable to update graph with root task {root.full_name} since that root task is not suspended.",
                )

    def resume(self, task: Task, now: datetime) -> None:
        """Resume a task. Resuming a root starts its graph, so its children must be resumed before."""
        with self.lock:
            if task.started:
                return
            is_root = not task.after and task.finalizes is None
            if not is_root:
                self.require_suspended(task)
            elif "SCHEDULE" not in task.options:
                raise failure(91_426, "22000", f"Task {task.full_name} cannot be resumed: it has no schedule.")
            task.started, task.committed = True, now
            task.next_run = task.next_after(now) if is_root else None

    def refuse_cycle(self, task: Task, after: set[Path]) -> None:
        below = {task.path}
        waiting = [task]
        while waiting:
            for child in self.children(waiting.pop()):
                if child.path not in below:
                    below.add(child.path)
                    waiting.append(child)
        if below & after:
            raise compilation(91_422, "22000", f"Task {task.full_name} would be part of a cycle.")
