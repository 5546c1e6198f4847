"""The environment of a child process that stands for a container: variables, command names, and what code can import.

Code in a container must come from what was uploaded with the job or the model. A ``sitecustomize`` in the child therefore hides
packages of this Python environment: the local cloud always, and those that the server's ``hidden_packages`` names.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from localcloud.aws.containers import name_resolution

_OWN_PACKAGE = "localcloud"
_ROOT_PATTERN = re.compile(r"(?<![\w./-])/opt/ml(?![\w.-])")

_HIDE_PACKAGES = '''\
"""Hides packages of the environment that started this process: code comes from what was uploaded."""
import os
import sys
from importlib.machinery import PathFinder

HIDDEN = {hidden!r}


class Hide:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if path is not None or name not in HIDDEN:
            return None
        found = PathFinder.find_spec(name, [p for p in sys.path if os.path.realpath(p or ".") != HIDDEN[name]])
        if found is None:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return found


sys.meta_path.insert(0, Hide)
'''
_RESOLVE_PEERS = """
import name_resolution

name_resolution.install_from_file()
"""


def rewrite_root(text: str, root: Path) -> str:
    """``text`` with ``/opt/ml`` replaced by the directory that stands for it."""
    return _ROOT_PATTERN.sub(lambda _: str(root), text)


def clean_environment(
    home: Path, region: str, *, hidden_packages: Iterable[str] = (), peers: Mapping[str, str] | None = None
) -> dict[str, str]:
    """An environment that inherits no variable. ``python``, ``python3``, ``pip`` and ``pip3`` run this interpreter.

    ``home``: a directory for the commands, the ``sitecustomize`` and temporary files. ``peers``: host names that the child
    resolves, with their addresses.
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
        # A script, not a link: a linked interpreter does not find its virtual environment.
        (tools / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (tools / name).chmod(0o755)
    customize = _HIDE_PACKAGES.format(hidden=_locations({_OWN_PACKAGE, *hidden_packages}))
    if peers:
        shutil.copy(name_resolution.__file__, site)
        (site / "name_resolution.json").write_text(json.dumps(dict(peers)))
        customize += _RESOLVE_PEERS
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
    """Variables for a container without network isolation: this server's address, with placeholder credentials."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }


def _locations(packages: Iterable[str]) -> dict[str, str]:
    """Package to the ``sys.path`` entry that holds it; packages that are not installed are left out."""
    found = {}
    for name in sorted(packages):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            found[name] = str(Path(spec.origin).resolve().parents[1])
    return found
