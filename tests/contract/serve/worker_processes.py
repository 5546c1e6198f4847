"""A service with several worker processes; run as a module, this file is the program of the supervisor and of the workers.

The workers' store is a folder, so tests write records where all workers read them; the endpoint returns its name as a number.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import numpy as np

from app import log, settings
from app.cli.exit_codes import error_kind, guarded
from app.deploy.live import LiveVersion
from app.serve.application import create_app
from app.serve.process.peers import Peers
from app.serve.process.supervisor import Supervisor
from app.serve.process.worker import work
from app.serve.process.worker_config import WorkerConfig
from app.settings import ServeSettings
from sagemaker_entry import npy
from tests.unit.serve.fakes import BUCKET, SECRET, FakeEndpoint, MemoryStore

ROOT = Path(__file__).parents[3]
BATCH = {"data": [[number, 1, 2, 3] for number in range(50)]}
#: Seconds in which a process starts on a busy machine.
START_S = 60.0
PROGRAM = ("-m", "tests.contract.serve.worker_processes")
#: Workers that cannot start, and workers that die, hang or are stopped as soon as they have reported that they listen.
SHORT_LIVES = {
    "--failing": "raise SystemExit(75)",
    "--dying": "import os; os.write(0, b'!'); os.kill(os.getpid(), 9)",
    "--hanging": "import os, time; os.write(0, b'!'); time.sleep(600)",
    "--stopped": "import os; os.write(0, b'!'); os.kill(os.getpid(), 19)",
}


class FolderObjects(MutableMapping[str, bytes]):
    """Objects as files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, uri: str) -> bytes:
        try:
            return (self._folder / quote(uri, safe="")).read_bytes()
        except FileNotFoundError:
            raise KeyError(uri) from None

    def __setitem__(self, uri: str, body: bytes) -> None:
        whole = self._folder.parent / f"{self._folder.name}.{os.getpid()}"
        whole.write_bytes(body)
        whole.replace(self._folder / quote(uri, safe=""))

    def __delitem__(self, uri: str) -> None:
        (self._folder / quote(uri, safe="")).unlink()

    def __iter__(self) -> Iterator[str]:
        return (unquote(path.name) for path in self._folder.iterdir())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def folder_store(folder: Path, *live: LiveVersion) -> MemoryStore:
    store = MemoryStore()
    store.objects = FolderObjects(folder)  # type: ignore[assignment]
    for version in live:
        store.put(version)
    return store


class RunningService:
    """A supervisor and its workers: their output so far, and a client that opens a connection for each request."""

    def __init__(self, process: subprocess.Popen[str], store: MemoryStore) -> None:
        self.process, self.store, self.lines = process, store, list[str]()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        self.lines.extend(iter(self.process.stderr.readline, ""))

    def until(self, found: Callable[[], object], seconds: float = START_S) -> None:
        deadline = time.monotonic() + seconds
        while not found():
            assert time.monotonic() < deadline, "".join(self.lines)
            time.sleep(0.01)

    def said(self, text: str) -> list[dict[str, str]]:
        """The fields of each line with ``text``."""
        return [dict(re.findall(r"(\w+)=(\S+)", line)) for line in list(self.lines) if f": {text}" in line]

    @property
    def url(self) -> str:
        return self.said("listening")[0]["address"]

    @property
    def pids(self) -> dict[str, int]:
        """The last listening process of each worker."""
        return {fields["worker"]: int(fields["pid"]) for fields in self.said("a worker listens")}

    def post(self, path: str, **request: object) -> httpx.Response:
        return self._ask("POST", path, **request)

    def get(self, path: str) -> httpx.Response:
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, **request: object) -> httpx.Response:
        headers = {"x-snowsage-secret": SECRET, "connection": "close"}
        return httpx.request(method, self.url + path, headers=headers, timeout=20, trust_env=False, **request)  # type: ignore[arg-type]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop the supervisor. Returns its exit status."""
        self.process.send_signal(number)
        return self.joined()

    def joined(self) -> int:
        status = self.process.wait(START_S)
        self._reader.join()
        return status


@contextmanager
def running_service(
    folder: Path, *live: LiveVersion, workers: int = 2, program: Sequence[str] = PROGRAM, **variables: str
) -> Iterator[RunningService]:
    """Start ``workers``. Yields when all listen; without live versions, when the process has started."""
    folder.mkdir()
    environment = {
        **os.environ,
        "SNOWSAGE_BUCKET": BUCKET,
        "SNOWSAGE_SECRETS": SECRET,
        "SNOWSAGE_SERVE_PORT": "0",
        "SNOWSAGE_WORKERS": str(workers),
        "SNOWSAGE_LIVE_POLL_S": "0.1",
        "SNOWSAGE_LAME_DUCK_S": "1",
        "SNOWSAGE_SERVE_PROT": "8080",
        "SNOWSAGE_LOG_LEVEL": "info",
        "SNOWSAGE_LOG_FORMAT": "text",
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "STORE": str(folder),
        **variables,
    }
    store = folder_store(folder, *live)
    with subprocess.Popen(
        [sys.executable, *program], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        running = RunningService(process, store)
        try:
            if live:
                running.until(lambda: len(running.pids) == workers or process.poll() is not None)
            yield running
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            finally:
                process.kill()
                for fields in running.said("a worker starts"):
                    with suppress(ProcessLookupError):
                        os.kill(int(fields["pid"]), signal.SIGKILL)


def answers_its_number(endpoint: str, matrix: np.ndarray, fingerprint: str) -> bytes:
    time.sleep(0.01)
    return npy.encode(np.full(len(matrix), float(endpoint), np.float32))


def main(arguments: list[str]) -> None:
    """Run a supervisor or, with a worker configuration, a worker."""
    log.configure("info")
    chosen = settings.read(ServeSettings)
    if arguments[:1] != ["work"]:
        command = [sys.executable, *PROGRAM, "work"]
        for short in set(SHORT_LIVES) & set(arguments):
            command = [sys.executable, "-S", "-c", SHORT_LIVES[short]]
        Supervisor(chosen, chosen.workers, command, error_kind, distributes="--shared" not in arguments).run()
        return
    post = WorkerConfig.from_json(arguments[1])
    log.always(worker=post.number)
    store = folder_store(Path(os.environ["STORE"]))
    work(chosen, create_app(chosen, store, FakeEndpoint(answers_its_number), peers=Peers(post, timeout_s=1.0)), post)


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:])))
