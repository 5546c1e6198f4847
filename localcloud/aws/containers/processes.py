"""Child processes that stand for containers: a clean environment, this interpreter, a process group of their own.

In: a directory. Out: an environment and a running process. Two surprises. The code a job runs must come from what was
shipped to it, so a ``sitecustomize`` in the child hides this project's own packages wherever they are installed. And
process 1 of a container ignores SIGTERM unless it handles it, which a shell that ignores the signal and then becomes
the command reproduces (a ``bash`` in front of ``python`` never passes a stop on, as at AWS).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from localcloud.aws.containers import name_resolution

CONTAINER_ROOT = "/opt/ml"
_ROOT_PATTERN = re.compile(r"(?<![\w./-])/opt/ml(?![\w.-])")
_KILL_GRACE_S = 2.0

_HIDE_PROJECT = '''\
"""Hides the packages of the program that started this process: code comes from what was shipped."""
import os
import sys
from importlib.machinery import PathFinder


class Hide:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if path is not None or name not in {names!r}:
            return None
        places = [p for p in sys.path if os.path.realpath(p or ".") != {home!r}]
        found = PathFinder.find_spec(name, places)
        if found is None:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return found


sys.meta_path.insert(0, Hide)
'''
_NAME_PEERS = """
import name_resolution

name_resolution.install_from_file()
"""


def rewrite_root(text: str, root: Path) -> str:
    """``text`` with the container's ``/opt/ml`` replaced by the directory that stands for it."""
    return _ROOT_PATTERN.sub(lambda _: str(root), text)


def clean_environment(home: Path, region: str, peers: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment that inherits nothing, with ``python``, ``python3`` and ``pip3`` meaning this interpreter.

    ``peers``: names of hosts that shall resolve, with their addresses.
    """
    tools = home / "bin"
    site = home / "site"
    tmp = home / "tmp"
    for folder in (tools, site, tmp):
        folder.mkdir(parents=True, exist_ok=True)
    python = shlex.quote(sys.executable)
    for name, command in {
        "python": python,
        "python3": python,
        "pip": f"{python} -m pip",
        "pip3": f"{python} -m pip",
    }.items():
        # A script rather than a link: a linked interpreter does not find its virtual environment.
        (tools / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (tools / name).chmod(0o755)
    project = str(Path(__file__).resolve().parents[3])
    hidden = ("app", "localcloud", "sagemaker_entry")
    customize = _HIDE_PROJECT.format(names=hidden, home=project)
    if peers:
        shutil.copy(name_resolution.__file__, site)
        (site / "name_resolution.json").write_text(json.dumps(dict(peers)))
        customize += _NAME_PEERS
    (site / "sitecustomize.py").write_text(customize)
    return {
        "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(tmp),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(site),
        "PYTHONUNBUFFERED": "TRUE",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_REGION": region,
    }


def aws_access(endpoint_url: str, region: str) -> dict[str, str]:
    """What a container without network isolation gets: this AWS, with credentials that mean nothing elsewhere."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }


def spawn(
    command: Sequence[str], *, environment: dict[str, str], folder: Path, **options: Any
) -> subprocess.Popen[bytes]:
    """Start ``command`` as process 1 of its own group; standard error joins standard output, which is a pipe."""
    return subprocess.Popen(
        ["/bin/sh", "-c", 'trap "" TERM; exec "$@"', "sh", *command],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        **{"stdin": subprocess.DEVNULL, **options},
    )


def end(process: subprocess.Popen[bytes], grace_s: float = _KILL_GRACE_S) -> None:
    """SIGTERM to process 1, after ``grace_s`` SIGKILL to whatever is left of its group; returns when it is over."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the whole group, without a word before; returns when it is over."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
