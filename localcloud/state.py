"""The state folder of a running local cloud: key pair, connection file, environment, and the process that owns it.

The folder is made when the cloud starts and removed when it stops, but for what the clouds saved in its subfolder ``saved``. Its
files are readable by their owner alone.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from localcloud.errors import CallerError

#: The state folder of ``localcloud up``, below the working directory.
DEFAULT = Path(".localcloud")

#: The subfolder with what the clouds held when they stopped.
_SAVED = "saved"


class StateFolder:
    """One state folder, claimed by this process between :meth:`claim` and :meth:`remove`."""

    def __init__(self, path: Path, *, keep: bool = False) -> None:
        self.path = path.resolve()
        self._keep = keep

    def saved(self, name: str) -> Path | None:
        """Where a cloud saves what it holds; None if nothing is kept."""
        return self.path / _SAVED / name if self._keep else None

    @property
    def has_saved(self) -> bool:
        """Whether an earlier cloud saved something here."""
        return (self.path / _SAVED).is_dir()

    def claim(self, *, fresh: bool = False) -> None:
        """Make the folder. Raises CallerError if another local cloud runs there, or if it holds other files.

        A folder that a killed local cloud left is emptied, but for what was saved before. ``fresh``: that is removed, too.
        """
        pid = self.path / "pid"
        if pid.is_file() and _alive(int(pid.read_text())):
            raise CallerError(
                f"a local cloud runs in {self.path} already (process {pid.read_text()}); stop it, or choose another --state"
            )
        if self.path.exists() and not pid.is_file() and any(path.name != _SAVED for path in self.path.iterdir()):
            raise CallerError(
                f"{self.path} holds other files, which would be removed at the end; choose another --state"
            )
        if fresh or not self._keep:
            shutil.rmtree(self.path / _SAVED, ignore_errors=True)
        self.remove()
        self.path.mkdir(parents=True, mode=0o700, exist_ok=True)
        pid.write_text(str(os.getpid()))

    def remove(self) -> None:
        """Remove the folder and everything in it but what was saved."""
        for path in self.path.iterdir() if self.has_saved else ():
            if path.name != _SAVED:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if not self.has_saved:
            shutil.rmtree(self.path, ignore_errors=True)

    def write_ports(self, ports: Mapping[str, int]) -> None:
        """Keep the ports for the next cloud here."""
        if self._keep:
            (self.path / _SAVED).mkdir(mode=0o700, exist_ok=True)
            self.write(f"{_SAVED}/ports.json", json.dumps(ports))

    def read_ports(self) -> dict[str, int]:
        """The ports of the cloud that was saved here; empty if there is none."""
        path = self.path / _SAVED / "ports.json"
        found: dict[str, int] = json.loads(path.read_text()) if path.is_file() else {}
        return found

    def write(self, name: str, text: str) -> Path:
        """Write a file that only its owner can read; readers see the old content or the new, whole."""
        path = self.path / name
        temporary = path.with_name(f".{path.name}")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        temporary.replace(path)
        return path

    def write_key_pair(self) -> str:
        """Write a new private key to ``key.p8``; the public key as PEM."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.write("key.p8", private.decode())
        public = key.public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    def write_connection(self, name: str, user: str, host: str, port: int, database: str | None = None) -> None:
        """Write ``connections.toml``, which Snowflake's connector, Snowpark and CLI read.

        The connection has a warehouse, a role and, in its database, the schema PUBLIC, as the tools expect of one.
        """
        lines = [
            f"[{name}]",
            'account = "LOCAL"',
            f"user = {json.dumps(user)}",
            'authenticator = "SNOWFLAKE_JWT"',
            f"private_key_file = {json.dumps(str(self.path / 'key.p8'))}",
            f"host = {json.dumps(host)}",
            f"port = {port}",
            'protocol = "http"',
            'warehouse = "COMPUTE_WH"',
            'role = "ACCOUNTADMIN"',
            *([f"database = {json.dumps(database)}", 'schema = "PUBLIC"'] if database else []),
        ]
        self.write("connections.toml", "\n".join(lines) + "\n")

    def write_environment(self, environment: Mapping[str, str]) -> None:
        """Write ``env.json``, which :func:`read_environment` reads, and ``env.sh``, which a shell sources."""
        self.write("env.json", json.dumps(environment, indent=1))
        self.write("env.sh", exports(environment))


def read_environment(state: Path, up_command: str = "localcloud up") -> dict[str, str]:
    """The environment of the local cloud that runs in ``state``, possibly in another process.

    Raises CallerError, which names ``up_command``, if none runs there.
    """
    path = state / "env.json"
    if not path.is_file():
        raise CallerError(f"no local cloud is running in {state}; start one with `{up_command}`")
    found: dict[str, str] = json.loads(path.read_text())
    return found


def exports(environment: Mapping[str, str]) -> str:
    """``environment`` as lines that a POSIX shell evaluates."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
