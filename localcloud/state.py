"""The state folder of a running local cloud: key pair, connection file, environment, and the process that owns it.

The folder is made when the cloud starts and removed when it stops. Its files are readable by their owner alone.
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


class StateFolder:
    """One state folder, claimed by this process between :meth:`claim` and :meth:`remove`."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    def claim(self) -> None:
        """Make the folder. Raises CallerError if another local cloud runs there, or if it holds other files.

        A folder that a killed local cloud left is emptied.
        """
        pid = self.path / "pid"
        if pid.is_file() and _alive(int(pid.read_text())):
            raise CallerError(
                f"a local cloud runs in {self.path} already (process {pid.read_text()}); stop it, or choose another --state"
            )
        if self.path.exists() and not pid.is_file() and any(self.path.iterdir()):
            raise CallerError(
                f"{self.path} holds other files, which would be removed at the end; choose another --state"
            )
        self.remove()
        self.path.mkdir(parents=True, mode=0o700)
        pid.write_text(str(os.getpid()))

    def remove(self) -> None:
        """Remove the folder and everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def write(self, name: str, text: str) -> Path:
        """Write a file that only its owner can read; readers see the old content or the new, whole."""
        path, temporary = self.path / name, self.path / f".{name}"
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
        """Write ``connections.toml``, which Snowflake's connector, Snowpark and CLI read."""
        lines = [
            f"[{name}]",
            'account = "LOCAL"',
            f"user = {json.dumps(user)}",
            'authenticator = "SNOWFLAKE_JWT"',
            f"private_key_file = {json.dumps(str(self.path / 'key.p8'))}",
            f"host = {json.dumps(host)}",
            f"port = {port}",
            'protocol = "http"',
            *([f"database = {json.dumps(database)}"] if database else []),
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
