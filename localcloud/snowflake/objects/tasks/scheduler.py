"""Task scheduler: runs task graphs at their scheduled times, each task in its own session.

With a manual clock nothing runs in the background: ``advance`` runs the graphs that become due, in order, in the
caller's thread. Otherwise a thread waits for the next scheduled time and starts a thread for each graph run.
"""

from __future__ import annotations

import logging
import threading
import uuid
from datetime import datetime, timedelta
from typing import Any

from snowflake.connector.errors import ProgrammingError
from sqlglot.errors import SqlglotError

from localcloud.snowflake.clock import ManualClock
from localcloud.snowflake.failures import INTERNAL, failure, unsupported
from localcloud.snowflake.objects.tasks.grammar import SESSION_PARAMETERS
from localcloud.snowflake.objects.tasks.state import DEFAULT_FAILURES, DEFAULT_TIMEOUT_MS, Run, Task, Tasks
from localcloud.snowflake.sessions import transaction
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.sessions.session import OWN, Session
from localcloud.snowflake.sessions.state import State
from localcloud.snowflake.sql.syntax import Path

log = logging.getLogger(__name__)

_ENDED_WELL = ("SUCCEEDED", "SKIPPED")


class Scheduler(State):
    def __init__(self, account: Account, runner: Runner) -> None:
        self._account = account
        self._runner = runner
        self._tasks = account.state(Tasks)
        self._clock = account.clock
        self._changed = threading.Condition(self._tasks.lock)
        self._asked: list[tuple[datetime, Task, bool]] = []
        self._thread: threading.Thread | None = None
        self._running: list[threading.Thread] = []
        self._closed = False

    def wake(self) -> None:
        """Recompute the next scheduled time, which may now be earlier."""
        with self._changed:
            if self._thread is None and not self._clock.manual and not self._closed:
                self._thread = threading.Thread(target=self._wait_and_run, name="snowflake-tasks", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def ask(self, root: Task, *, retry: bool) -> None:
        """EXECUTE TASK: run the graph as soon as possible, or with a manual clock at the next ``advance``."""
        with self._changed:
            self._asked.append((self._clock.now(), root, retry))
        self.wake()

    def advance(self, seconds: float) -> None:
        """Advance a manual clock and run the graphs that become due."""
        if not isinstance(self._clock, ManualClock):
            raise unsupported("advance() with a real clock; start the server with a ManualClock")
        end = self._clock.now() + timedelta(seconds=seconds)
        while (work := self._take(end)) is not None:
            self._clock.move_to(work[0])
            self._run_graph(*work)
        self._clock.move_to(end)

    def _take(self, until: datetime) -> tuple[datetime, Task, str, bool] | None:
        """The earliest graph run due by ``until``. Scheduled times at which the previous run has not ended are skipped."""
        with self._changed:
            if self._asked:
                moment, root, retry = self._asked.pop(0)
                root.running += 1
                return moment, root, "EXECUTE TASK", retry
            due = [(task.next_run, task) for task in self._tasks.all() if task.started and task.next_run is not None]
            for moment, root in sorted(due, key=lambda pair: (pair[0], pair[1].path)):
                if moment > until:
                    return None
                root.next_run = root.next_after(moment)
                if not root.running or root.options.get("ALLOW_OVERLAPPING_EXECUTION"):
                    root.running += 1
                    return moment, root, "SCHEDULE", False
            return None

    def _wait_and_run(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                work = self._take(self._clock.now())
                if work is None:
                    moments = [task.next_run for task in self._tasks.all() if task.started and task.next_run]
                    wait = (min(moments) - self._clock.now()).total_seconds() if moments else None
                    self._changed.wait(None if wait is None else max(0.01, wait))
                    continue
                self._running = [thread for thread in self._running if thread.is_alive()]
                thread = threading.Thread(target=self._run_graph, args=work, name="snowflake-task-run", daemon=True)
                self._running.append(thread)
            thread.start()

    def _run_graph(self, moment: datetime, root: Task, source: str, retry: bool) -> None:
        try:
            done = {path: run for path, run in root.last.items() if run.state in _ENDED_WELL} if retry else {}
            attempts = 1 + int(root.options.get("TASK_AUTO_RETRY_ATTEMPTS", 0))
            group = str(uuid.uuid4())
            for attempt in range(1, attempts + 1):
                runs = self._attempt(
                    root, dict(done), moment, "RETRY" if attempt > 1 or retry else source, attempt, group
                )
                failed = [run for run in runs.values() if run.state == "FAILED"]
                if not failed or self._closed:
                    break
                done = {path: run for path, run in runs.items() if run.state in _ENDED_WELL}
            self._conclude(root, runs, failed)
            if (finalizer := self._tasks.finalizer(root)) is not None and finalizer.started and not self._closed:
                self._run_task(self._begin(finalizer, root, moment, source, 1, group, runs))
        finally:
            with self._changed:
                root.running -= 1
                self._changed.notify_all()

    def _attempt(
        self, root: Task, runs: dict[Path, Run], moment: datetime, source: str, attempt: int, group: str
    ) -> dict[Path, Run]:
        for task in self._tasks.below(root):
            if self._closed or task.path in runs or (task is not root and not self._may_run(task, runs)):
                continue
            runs[task.path] = self._begin(task, root, moment, source, attempt, group, runs)
            self._run_task(runs[task.path])
        return runs

    def _may_run(self, task: Task, runs: dict[Path, Run]) -> bool:
        """Whether all resumed predecessors succeeded or were skipped, and at least one of them succeeded."""
        above = [parent for path in task.after if (parent := self._tasks.get(path)) is not None]
        resumed = [parent.path for parent in above if parent.started or parent.path in runs]
        states = [runs[path].state if path in runs else None for path in resumed]
        return task.started and "SUCCEEDED" in states and all(state in _ENDED_WELL for state in states)

    def _begin(
        self, task: Task, root: Task, moment: datetime, source: str, attempt: int, group: str, before: dict[Path, Run]
    ) -> Run:
        run = Run(task, root, moment, source, attempt, group, next(self._tasks.run_ids), before=before)
        with self._tasks.lock:
            self._tasks.history.append(run)
        return run

    def _run_task(self, run: Run) -> None:
        session = self._session(run)
        run.query_id, run.started, run.state = str(uuid.uuid4()), self._clock.now(), "EXECUTING"
        try:
            if run.task.when is not None and not self._holds(session, run.task.when):
                run.query_id, run.state = None, "SKIPPED"
                run.error_code = "0040003"
                run.error_message = "Conditional expression for task evaluated to false."
            else:
                self._execute(session, run)
                run.state = "SUCCEEDED"
        except (ProgrammingError, SqlglotError, NotImplementedError) as error:
            _fail(run, error if isinstance(error, ProgrammingError) else unsupported(f"this statement ({error})"))
        except Exception as error:
            log.exception("a task failed because of an error in the local Snowflake")
            _fail(run, failure(INTERNAL, "XX000", f"The local Snowflake failed on this task ({type(error).__name__})."))
        finally:
            run.completed = self._clock.now()
            transaction.close(session)

    def _session(self, run: Run) -> Session:
        """A session of the task's owner, in the task's own database and schema."""
        session = Session(self._account, "SYSTEM", run.task.owner, OWN)
        session.use(*run.task.path[:2])
        session.warehouse = run.task.options.get("WAREHOUSE")
        session.parameters.update(session_options(run.task))
        session.states.put(run)
        return session

    def _holds(self, session: Session, when: str) -> bool:
        result = self._runner.run(session, f"SELECT ({when})::BOOLEAN", query_id=str(uuid.uuid4()))
        return bool(result.table.column(0)[0].as_py())

    def _execute(self, session: Session, run: Run) -> None:
        limit = int(run.task.options.get("USER_TASK_TIMEOUT_MS", DEFAULT_TIMEOUT_MS)) / 1000
        late = threading.Event()

        def stop() -> None:
            late.set()
            session.duck.interrupt()

        timer = threading.Timer(limit or DEFAULT_TIMEOUT_MS / 1000, stop)
        timer.daemon = True
        timer.start()
        try:
            self._runner.run(session, run.task.body, query_id=run.query_id or "")
        except ProgrammingError as error:
            if not late.is_set():
                raise
            text = f"Statement reached its statement or warehouse timeout of {limit:g} second(s) and was canceled."
            raise failure(630, "57014", text) from error
        finally:
            timer.cancel()

    def _conclude(self, root: Task, runs: dict[Path, Run], failed: list[Run]) -> None:
        """Count consecutive failures, and suspend a root that has failed too often."""
        with self._tasks.lock:
            root.last = runs
            root.failures = root.failures + 1 if failed else 0
            limit = int(root.options.get("SUSPEND_TASK_AFTER_NUM_FAILURES", DEFAULT_FAILURES))
            if failed and limit and root.failures >= limit and root.started:
                root.started, root.next_run, root.failures = False, None, 0
                root.suspended, root.suspended_reason = self._clock.now(), "SUSPENDED_DUE_TO_ERRORS"
                for run in failed:
                    run.state = "FAILED_AND_AUTO_SUSPENDED"

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in [self._thread, *self._running]:
            if thread is not None:
                thread.join(timeout=10)


def _fail(run: Run, error: ProgrammingError) -> None:
    run.state, run.error_code, run.error_message = "FAILED", f"{error.errno:06d}", error.raw_msg


def session_options(task: Task) -> dict[str, Any]:
    """The session parameters that a task's definition sets."""
    return {name: value for name, value in task.options.items() if name in SESSION_PARAMETERS}
