"""The protocol of a worker. It imports only the standard library, because the workers' environments differ.

``python worker.py JOB``: the job is JSON. The worker loads its data, and answers with a line of JSON; then it runs the command of
each line of its input, and answers with a line for each.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

Commands = Mapping[str, Callable[[], "dict[str, Any] | None"]]


def serve(load: Callable[[dict[str, Any]], tuple[str, Commands]]) -> None:
    """Answer until the input ends. ``load`` returns the engine's version and the commands."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a library prints is no answer
        version, commands = load(json.loads(sys.argv[1]))
        print(json.dumps({"version": version}), file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(commands[line.strip()]() or {}), file=answers, flush=True)
