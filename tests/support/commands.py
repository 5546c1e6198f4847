"""The command line run in this process, because a new process spends seconds on imports."""

from __future__ import annotations

import gc
import io
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from app.__main__ import main

ROOT = Path(__file__).parents[2]


def run_command(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``snowsage`` with these arguments and only these environment variables. Returns any exit code."""
    out, err = io.StringIO(), io.StringIO()
    with (
        _preserved_process_state(),
        patch.dict(os.environ, environment, clear=True),
        chdir(ROOT),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = _exit_code(*arguments)
    return subprocess.CompletedProcess(["snowsage", *arguments], code, out.getvalue(), err.getvalue())


def _exit_code(*arguments: str) -> int:
    with patch.object(sys, "argv", ["snowsage", *arguments]):
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0


@contextmanager
def _preserved_process_state() -> Iterator[None]:
    """Undo the command's logging configuration, and ignore warnings of the SDKs that it imports."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    gc.freeze()  # so that the collection below looks only at the command's objects, not at the millions of a test run
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            gc.collect()  # the SageMaker SDK leaves its temporary folders to the garbage collector, which warns
    finally:
        gc.unfreeze()
        root.handlers[:] = handlers
        root.setLevel(level)
