"""This project's service, started as a user starts it: ``snowsage serve`` with settings in its environment.

The live record and the artefact are on the S3 of a local AWS, which runs on the load's cores. The endpoint container's process
is counted with the service's, because both belong to the project; the local AWS between them represents Amazon's part and is
not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from benchmarks.serving import workload
from benchmarks.serving.load.exchange import Exchange, snowflake
from benchmarks.serving.servers import processes
from benchmarks.serving.servers.server import PackingServer, Place, clean_environment
from benchmarks.serving.workload import Cell

ROOT = Path(__file__).resolve().parents[3]
SECRET = "benchmark"


class Snowsage(PackingServer):
    """The service with one kind of scorer, and the local AWS behind it."""

    protocol = "Snowflake's external function, JSON"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._cloud: subprocess.Popen[str] | None = None
        self._settings: dict[str, str] = {}
        self._containers: list[int] = []

    def start(self) -> None:
        self._start_cloud()
        super().start()

    def stop(self) -> None:
        super().stop()
        if self._cloud is not None:
            self._cloud.communicate()
            self._cloud = None

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "app", "serve"]

    def environment(self) -> Mapping[str, str]:
        return {
            **_environment(self.folder),
            **self._settings,
            "PYTHONPATH": str(ROOT),
            "SNOWSAGE_SECRETS": SECRET,
            "SNOWSAGE_SERVE_PORT": str(self.port),
            "SNOWSAGE_OPEN_PATHS": self.health(),
        }

    def health(self) -> str:
        return "/v2/health/ready"

    def exchange(self, rows: Sequence[Sequence[Cell]]) -> Exchange:
        return snowflake(self.port, f"/predict/{workload.NAME}", SECRET, rows)

    def packed_exchange(self, rows: Sequence[Sequence[Cell]]) -> Exchange:
        return snowflake(self.port, f"/predict/{workload.NAME}", SECRET, rows, packed=True)

    def roots(self) -> list[int]:
        return [*super().roots(), *self._containers]

    def _start_cloud(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        archive = workload.save(self.place.workload.model, self.folder / "model")
        arguments = [str(self.folder), str(archive), str(self.folder / "model" / "contract.json"), self.key]
        with processes.on_cores(set(self.place.load_cores)), (self.folder / "aws.log").open("w") as log:
            self._cloud = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.serving.servers.cloud", *arguments],
                cwd=ROOT,
                env=_environment(self.folder) | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._cloud.stdout is not None
        said = self._cloud.stdout.readline()
        if not said:
            raise RuntimeError(f"the local AWS did not start:\n{(self.folder / 'aws.log').read_text()[-3000:]}")
        self._settings = json.loads(said)
        self._containers = [child.pid for child in psutil.Process(self._cloud.pid).children()]
        processes.pin(processes.tree(self._containers), set(self.place.server_cores))


class Embedded(Snowsage):
    """Scores in the service's own process."""

    name = "snowsage, embedded"
    key = "embedded"
    settings = "defaults, the model in the service"


class Endpoint(Snowsage):
    """Scores by a SageMaker endpoint: the service decodes, ``sagemaker_entry.inference`` predicts."""

    name = "snowsage, endpoint"
    key = "endpoint"
    settings = "defaults, through the local AWS to sagemaker_entry.inference in the endpoint's container"


class Profiled(Embedded):
    """The embedded service, which also counts the CPU time of the parts of a request in the file ``counters``."""

    name = "snowsage, profiled"

    @property
    def counters(self) -> Path:
        """The counters' file; ``profiled.read`` reads it."""
        return self.folder / "counters"

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "benchmarks.serving.servers.profiled", str(self.counters)]


def _environment(home: Path) -> dict[str, str]:
    """Clean, except that code which an earlier start compiled is found, as at any start but a machine's first."""
    caches = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return {**clean_environment(home), "XDG_CACHE_HOME": caches}
