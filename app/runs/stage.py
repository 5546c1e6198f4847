"""A stage as a value, and the context that it works in.

Each stage package has a module ``stage`` with one :class:`Stage` named ``STAGE``; ``app/pipeline.py`` lists them in order. Runs,
dry runs, the console, the command line and the ledger read everything about a stage from that value.

``snowsage --help`` imports all stage modules, so they import ``plan`` and ``run`` inside their functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from app.errors import CallerError
from app.ports import HostingService, ObjectStore, ServiceControl, TrainingService, Warehouse
from app.runs.identity import Run
from app.sql import Name

if TYPE_CHECKING:
    from app.settings import PlatformSettings
    from app.spec import PipelineFile

Plan = TypeVar("Plan")
Result = TypeVar("Result")

Tell = Callable[[str], None]


class ResultMissing(CallerError):
    """A stage needs the result of an earlier one that has not finished."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"{stage} has not finished")
        self.stage = stage


@dataclass(frozen=True)
class World:
    """Settings of the platform, and the adapters that the stages use."""

    platform: PlatformSettings
    warehouse: Warehouse
    store: ObjectStore
    training: TrainingService
    hosting: HostingService
    service: ServiceControl


@dataclass
class Context:
    """One run in progress: its definition, its adapters, and the results of its stages by name."""

    file: PipelineFile
    run: Run
    world: World
    tell: Tell = lambda _: None
    results: dict[str, Any] = field(default_factory=dict)
    #: Whether the user named the stage, by its own verb, rather than a whole run.
    asked: bool = False
    #: The names of the stages that the command runs or explains.
    stages: tuple[str, ...] = ()

    @property
    def stage_name(self) -> Name:
        """The external stage over the bucket."""
        return Name.parse(self.world.platform.stage)

    def result(self, stage: Stage[Any, Result]) -> Result:
        """The result of an earlier stage. Raises ResultMissing if it has none yet."""
        if stage.name not in self.results:
            raise ResultMissing(stage.name)
        found: Result = self.results[stage.name]
        return found


@dataclass(frozen=True)
class Summary:
    """A result in words for the console. ``rows``: None for a stage that counts none. ``where``: where to look at the result."""

    what: str
    rows: int | None
    where: str


@dataclass(frozen=True)
class Seen(Generic[Result]):
    """What the world says of a recorded result. ``result``: None if it no longer exists, so that the stage has to run again.

    ``note``: why it runs again, or what was found instead of the recorded state.
    """

    result: Result | None
    note: str = ""


@dataclass(frozen=True)
class Stage(Generic[Plan, Result]):
    """One stage of a run."""

    #: Also the verb of the command line, the folder on S3, and the key in the ledger.
    name: str
    #: Help text of the verb.
    help: str
    #: A dataclass that the ledger writes as JSON and reads again.
    result: type[Result]
    #: Reads what the decision needs, and decides; writes nothing.
    plan: Callable[[Context], Plan]
    #: Applies the plan.
    run: Callable[[Context, Plan], Result]
    #: The plan as a dry run prints it: statements, requests, files.
    explain: Callable[[Context, Plan], list[str]]
    summarize: Callable[[Result], Summary]
    #: The plan in one sentence: what is new, what exists, what it costs; None: the help text says it.
    outline: Callable[[Context, Plan], str] | None = None
    #: Stages whose results ``plan`` and ``run`` use.
    needs: tuple[Stage[Any, Any], ...] = ()
    #: The result as far as the plan already determines it, from which a dry run plans later stages; None: not at all.
    preview: Callable[[Context, Plan], Result] | None = None
    #: Raises CallerError if the stage would replace an object of someone else. Called before the first stage of a command runs.
    check: Callable[[Context], None] | None = None
    #: Raises an error if what the stage needs outside is not there: a service, a role, a quota. Called before the first stage that
    #: has it runs, the training job, so that nothing is paid for before a refusal that could be foreseen.
    reach: Callable[[Context], None] | None = None
    #: Compares a recorded result with the world; None: the result depends on nothing outside of the ledger.
    look: Callable[[Context, Result], Seen[Result]] | None = None
