"""A run that kills its own process at a given point: ``python -m tests.flow.killed_run PIPELINE STAGE POINT``.

POINT is ``working``, at the second request of the stage, or ``unrecorded``, when the stage has finished its work but
is not yet recorded in the ledger. A signal from outside would stop the run at a different point on each machine.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from app import spec
from app.pipeline import STAGES, Finished, look_up_run, run_stages
from app.runs.stage import Context, Stage, World
from app.wiring import open_world


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _Counted:
    """An adapter whose calls are counted while counting is on."""

    def __init__(self, adapter: Any, count: Callable[[], None]) -> None:
        self._adapter, self._count = adapter, count

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._adapter, name)
        if not callable(found):
            return found

        def call(*positional: Any, **named: Any) -> Any:
            self._count()
            return found(*positional, **named)

        return call


class _Point:
    def __init__(self, stage: str, point: str) -> None:
        self._stage, self._point = stage, point
        self._working = False
        self._requests = itertools.count(1)

    def world(self, world: World) -> World:
        """The world with each adapter wrapped in a counter."""
        adapters = [field.name for field in fields(world) if field.name != "platform"]
        return replace(world, **{name: _Counted(getattr(world, name), self._request) for name in adapters})

    def stage(self, stage: Stage[Any, Any]) -> Stage[Any, Any]:
        """The stage; the chosen one kills the process when it has run."""
        if stage.name != self._stage:
            return stage

        def run(context: Context, plan: Any) -> Any:
            self._working = True
            stage.run(context, plan)
            _kill()

        return replace(stage, run=run)

    def _request(self) -> None:
        if self._working and self._point == "working" and next(self._requests) == 2:
            _kill()


class _Quiet:
    def begin(self, stage: str) -> None: ...

    def tell(self, text: str) -> None: ...

    def end(self, done: Finished) -> None: ...


def main(folder: str, stage: str, point: str) -> None:
    file, killed = spec.load(Path(folder)), _Point(stage, point)
    with open_world() as opened:
        world = killed.world(opened)
        context = Context(file, look_up_run(file, world.warehouse), world)
        run_stages(context, _Quiet(), stages=tuple(killed.stage(item) for item in STAGES))


if __name__ == "__main__":
    main(*sys.argv[1:])
