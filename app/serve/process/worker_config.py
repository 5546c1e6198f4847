"""A worker's configuration, which the supervisor passes as one argument of its command line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from app.errors import CallerError

NOT_BY_HAND = "a worker is started only by `snowsage serve`; SNOWSAGE_WORKERS sets how many"


@dataclass(frozen=True)
class WorkerConfig:
    """The configuration of one worker. It keeps its number over restarts, so that metrics have few labels.

    ``number``: from 1 to ``of``; ``folder``: for the workers' Unix sockets; ``listener``: the inherited descriptor of the
    socket that all share, or None if each opens its own.
    """

    number: int
    of: int
    folder: str
    listener: int | None = None

    def to_json(self) -> str:
        """The command line's argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> WorkerConfig:
        """Parse the argument. Raises CallerError if it is not one."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            raise CallerError(NOT_BY_HAND) from None

    def socket_of(self, number: int) -> Path:
        """The Unix socket on which the worker ``number`` answers its peers."""
        return Path(self.folder) / f"{number}.sock"
