"""Python interpreters of this machine, and virtual environments for them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_CLAIM = re.compile(r"Programming Language :: Python :: (3)\.(\d+)")

Version = tuple[int, int, int]


@dataclass(frozen=True, order=True)
class Interpreter:
    """An installed Python, outside any virtual environment."""

    version: Version
    path: Path

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


def claimed() -> set[tuple[int, int]]:
    """The Python versions in the project's classifiers."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return {(int(found[1]), int(found[2])) for text in project["classifiers"] if (found := _CLAIM.fullmatch(text))}


def interpreters(versions: set[tuple[int, int]]) -> list[Interpreter]:
    """One interpreter for each installed version (3.11.2, 3.11.7, ...) that belongs to ``versions``, oldest first."""
    found = {version: path for path in _candidates() if (version := _version(path)) and version[:2] in versions}
    return sorted(Interpreter(version, path) for version, path in found.items())


def _candidates() -> Iterator[Path]:
    for folder in map(Path, os.get_exec_path()):
        yield from sorted(folder.glob("python3.[0-9][0-9]"))
    homes = (
        Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions",
        Path.home() / ".local/share/uv/python",
    )
    for home in homes:
        yield from sorted(home.glob("*/bin/python3.[0-9][0-9]"))
    yield Path("/usr/bin/python3")
    yield Path(sys.base_exec_prefix) / "bin/python3"


def _version(path: Path) -> Version | None:
    """The version that the interpreter reports; None if it does not start, as a shim of a version that is not selected.

    None for an interpreter of a virtual environment too: it may be deleted with its environment.
    """
    code = "import sys; print(*sys.version_info[:3]) if sys.prefix == sys.base_prefix else None"
    try:
        said = subprocess.run(
            [path, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60
        ).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return (int(said[0]), int(said[1]), int(said[2])) if len(said) == 3 else None


def environment(
    interpreter: Interpreter, name: str, installs: Sequence[Sequence[str]], inputs: Sequence[Path] = ()
) -> Path:
    """The Python of a virtual environment for ``interpreter``; created once for each content of ``installs`` and ``inputs``.

    ``installs``: the arguments of each ``pip install``, run in the repository. ``inputs``: files that they read. Packages are
    installed by uv if it is on the PATH or in the running environment, otherwise by the new environment's pip, or by the running
    one's for an interpreter without ensurepip.
    """
    digest = hashlib.sha256(repr([*map(list, installs), *(path.read_bytes() for path in inputs)]).encode()).hexdigest()[
        :12
    ]
    root = REPOSITORY / ".snowsage/interpreters"
    folder = root / f"{name}-{interpreter}-{digest}"
    python = folder / "bin/python"
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes that run in parallel share the environments
        if (folder / "ready").is_file():
            return python
        for old in root.glob(f"{name}-{interpreter}-*"):
            shutil.rmtree(old)
        pip = [] if _works(str(interpreter.path), "-c", "import ensurepip") else ["--without-pip"]
        _run([str(interpreter.path), "-m", "venv", *pip, str(folder)])
        for arguments in installs:
            _run([*_installer(python), "--quiet", *arguments])
        (folder / "ready").touch()
    return python


def project_environment(interpreter: Interpreter) -> Path:
    """The Python of an environment with the content of the Makefile's ``.venv``: the lock file, then both distributions."""
    lock, *projects = (
        REPOSITORY / name for name in ("requirements.lock", "pyproject.toml", "localcloud/pyproject.toml")
    )
    installs = (["-r", str(lock)], ["--no-deps", "--editable", "localcloud", "--editable", "."])
    return environment(interpreter, "project", installs, (lock, *projects))


def _installer(python: Path) -> list[str]:
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv:
        return [uv, "pip", "install", "--python", str(python)]
    # An older pip does not run on a newer Python, so the environment's own comes first.
    own = _works(str(python), "-m", "pip", "--version")
    pip = [str(python), "-m", "pip"] if own else [sys.executable, "-m", "pip", "--python", str(python)]
    return [*pip, "--disable-pip-version-check", "install"]


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
