"""An inference container: its directory, its process, and calls into it.

The process is restarted when it ends by itself. Calls in between fail, as they do on AWS.
"""

from __future__ import annotations

import http.client
import logging
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

from localcloud.archives import ArchiveError
from localcloud.aws.account import Account
from localcloud.aws.containers import environment, processes
from localcloud.aws.containers.log_stream import LogStream
from localcloud.aws.http.protocol import Params
from localcloud.aws.http.server import listening_socket
from localcloud.aws.s3 import transfer
from localcloud.aws.sagemaker.images import XGBOOST
from localcloud.aws.sagemaker.inference import serving
from localcloud.aws.sagemaker.models import artefact_uri

_log = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_PING_S = 2.0
_POLL_S = 0.05
_RESTART_S = 0.5

Reply = tuple[int, http.client.HTTPMessage, bytes]


class StartFailure(Exception):
    """The container does not serve; the message is the endpoint's FailureReason."""


class InvocationTimeout(Exception):
    """The container did not respond in time."""


class InvocationBroken(Exception):
    """The container closed the connection without a response."""


class InferenceContainer:
    """The container of one variant.

    ``definition``: the container of CreateModel. ``home``: the container's directory. ``isolated``: without network access.
    """

    def __init__(self, account: Account, definition: Params, home: Path, log: LogStream, *, isolated: bool) -> None:
        self._account = account
        self._definition = definition
        self._home = home
        self._root = home / "ml"
        self._isolated = isolated
        self._log = log
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._stopped = threading.Event()
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._output: threading.Thread | None = None

    def start(self, variant: str, startup_s: float, abandoned: threading.Event) -> None:
        """Download the model, start the process and wait for its first healthy ping; raises :class:`StartFailure` if that fails.

        ``abandoned``: set when the container is no longer needed.
        """
        self._download(variant)
        process = self._spawn()
        deadline = time.monotonic() + startup_s
        while not abandoned.is_set():
            if process.poll() is not None or time.monotonic() > deadline:
                break
            if self._ping():
                self._keeper = threading.Thread(target=self._keep, args=(process,), daemon=True)
                self._keeper.start()
                return
            time.sleep(_POLL_S)
        self.stop()
        raise StartFailure(
            f"The primary container for production variant {variant} did not pass the ping health check. Please check "
            "CloudWatch logs for this endpoint."
        )

    def stop(self) -> None:
        """End the process and remove the directory."""
        self._stopped.set()
        if self._process is not None:
            _end(self._process)
        if self._keeper is not None:
            self._keeper.join()
        if self._output is not None:
            self._output.join()
        while self._idle:
            self._idle.pop().close()
        shutil.rmtree(self._home, ignore_errors=True)

    def kill(self) -> None:
        """Send SIGKILL to the process group, as a crash would end it; returns when the process has ended."""
        if self._process is not None:
            processes.kill(self._process)

    def invoke(self, body: bytes, headers: dict[str, str], timeout_s: float | None = None) -> Reply:
        """Post ``body`` over a kept-alive connection; a stale connection is replaced.

        ``timeout_s``: limit for the response, by default the account's limit for an invocation.
        """
        timeout_s = timeout_s or self._account.limits.invocation_s
        while True:
            try:
                connection = self._idle.pop()
                fresh = False
            except IndexError:
                connection = http.client.HTTPConnection(_HOST, self._port, timeout=timeout_s)
                fresh = True
            try:
                connection.timeout = timeout_s
                if connection.sock is not None:
                    connection.sock.settimeout(timeout_s)
                connection.request("POST", "/invocations", body, headers)
                response = connection.getresponse()
                data = response.read()
            except TimeoutError as error:
                connection.close()
                raise InvocationTimeout from error
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if fresh:
                    raise InvocationBroken from error
                continue
            self._idle.append(connection)
            return response.status, response.headers, data

    def _download(self, variant: str) -> None:
        image = self._definition.get("Image", "")
        if XGBOOST not in image:
            raise StartFailure(f"The local AWS supports SageMaker's XGBoost images only ({XGBOOST}...), not {image!r}.")
        variables = self._definition.get("Environment", {})
        if "SAGEMAKER_PROGRAM" not in variables:
            raise StartFailure(
                "The local AWS serves no built-in algorithm; set SAGEMAKER_PROGRAM and SAGEMAKER_SUBMIT_DIRECTORY in "
                f"the environment of the model behind variant {variant}."
            )
        sources = [(artefact_uri(self._definition), self._root / "model")]
        submitted = variables.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
        if submitted.startswith("s3://"):
            sources.append((submitted, self._root / "code"))
        for uri, folder in sources:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                if uri:
                    transfer.download_archive(self._account.s3, uri, folder)
            except (transfer.NothingFound, ArchiveError, OSError) as error:
                raise StartFailure(
                    f"Failed to download model data from {uri} for production variant {variant}: {error}"
                ) from error

    def _spawn(self) -> subprocess.Popen[bytes]:
        closed = [serving.NETWORK_CLOSED] if self._isolated else []
        listener = listening_socket(_HOST, 0)
        with listener:
            self._port = listener.getsockname()[1]
            process = processes.spawn(
                [sys.executable, "-P", serving.__file__, str(listener.fileno()), str(self._root), *closed],
                environment=self._environment(),
                folder=self._root,
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
            )
        assert process.stdout is not None
        self._output = self._log.pump(process.stdout)
        self._process = process
        return process

    def _environment(self) -> dict[str, str]:
        variables = environment.clean_environment(
            self._home, self._account.region, hidden_packages=self._account.hidden_packages
        )
        if not self._isolated:
            variables |= environment.aws_access(self._account.endpoint_url, self._account.region)
        # The image's default too: one thread per worker.
        variables["OMP_NUM_THREADS"] = "1"
        variables |= {
            name: environment.rewrite_root(value, self._root)
            for name, value in self._definition.get("Environment", {}).items()
        }
        if variables.get("SAGEMAKER_SUBMIT_DIRECTORY", "").startswith("s3://"):
            variables["SAGEMAKER_SUBMIT_DIRECTORY"] = str(self._root / "code")
        return variables

    def _ping(self) -> bool:
        connection = http.client.HTTPConnection(_HOST, self._port, timeout=_PING_S)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _keep(self, process: subprocess.Popen[bytes]) -> None:
        while True:
            process.wait()
            if self._stopped.is_set():
                return
            _log.warning("inference container ended with code %s; restarting it", process.returncode)
            _end(process)
            if self._stopped.wait(_RESTART_S):
                return
            process = self._spawn()
            if self._stopped.is_set():
                _end(process)
                return


def _end(process: subprocess.Popen[bytes]) -> None:
    processes.end(process)
    if process.stdin is not None:
        process.stdin.close()
