"""What a worker is told when it is started, as one argument of its command line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from app.errors import CallerError

BY_HAND = "a worker is started by `snowsage serve` alone; SNOWSAGE_WORKERS says how many"


@dataclass(frozen=True)
class Post:
    """One worker's place. It keeps the number over restarts, so that the metrics' labels stay few.

    ``number``: from 1 to ``of``; ``folder``: the workers' own, for their sockets; ``listener``: the inherited descriptor of the
    socket that all share, or None where each opens its own.
    """

    number: int
    of: int
    folder: str
    listener: int | None = None

    def to_json(self) -> str:
        """The argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Post:
        """From the argument. Raises CallerError for any other text."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            raise CallerError(BY_HAND) from None

    def socket_of(self, number: int) -> Path:
        """The Unix socket on which the worker ``number`` tells its metrics."""
        return Path(self.folder) / f"{number}.sock"
