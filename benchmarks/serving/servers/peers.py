"""The other servers with the same model, each with its native protocol and its own virtual environment.

``install`` creates the environments from the pinned lists in ``others/``; results show a peer without one as not installed.
Their settings are the usual best ones for one core: one worker, one thread a prediction.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import orjson

from benchmarks.serving.load.exchange import Exchange, as_scores, csv, flat, post
from benchmarks.serving.servers.server import NotAvailable, Place, Server
from benchmarks.serving.workload import Cell, Scores

OTHERS = Path(__file__).parent / "others"

#: The commit of aws/sagemaker-xgboost-container whose serving code is measured.
CONTAINER_COMMIT = "cb8df91cd44c7b01c53ccf321fd3fdf3eb78adae"
CONTAINER = "aws/sagemaker-xgboost-container"


class EndpointState(Server):
    """``key`` names its list ``others/<key>.txt`` and its environment; ``package``: its version is shown."""

    package = ""

    def __init__(self, place: Place, environments: Path) -> None:
        super().__init__(place)
        self._bin = environments / self.key / "bin"

    def start(self) -> None:
        if not (self._bin / "python").exists():
            raise NotAvailable(f"not installed; `python -m benchmarks.serving peers install {self.key}`")
        super().start()

    def version(self) -> str:
        """Of its package, as the list pins it."""
        pins = (OTHERS / f"{self.key}.txt").read_text().splitlines()
        return next((pin.partition("==")[2] for pin in pins if pin.lower().startswith(f"{self.package}==")), "?")

    def environment(self) -> Mapping[str, str]:
        """With one process a core, for servers that take a number of processes."""
        return {**super().environment(), "BENCH_WORKERS": str(len(self.place.server_cores))}

    def _run(self, script: str, *arguments: object) -> list[str]:
        return [str(self._bin / "python"), str(OTHERS / script), *map(str, arguments)]

    @property
    def _model(self) -> Path:
        path = self.folder / "model.ubj"
        if not path.exists():
            self.place.workload.model.booster.save_model(path)
        return path


class MLServer(EndpointState):
    """Open Inference Protocol v2 as JSON."""

    name, key, package = "MLServer", "mlserver", "mlserver"
    protocol = "Open Inference Protocol v2, JSON, FP32"
    settings = "mlserver-xgboost, no pool of workers"

    def command(self) -> Sequence[str]:
        return self._run("mlserver_start.py", self._model, self.port)

    def health(self) -> str:
        return "/v2/models/bench/ready"

    def exchange(self, rows: Sequence[Sequence[Cell]]) -> Exchange:
        shape = [len(rows), len(rows[0])]
        body = {"inputs": [{"name": "rows", "shape": shape, "datatype": "FP32", "data": flat(rows)}]}
        return post(self.port, "/v2/models/bench/infer", orjson.dumps(body), _outputs)


class BentoML(EndpointState):
    """Its own JSON of an array."""

    name, key, package = "BentoML", "bentoml", "bentoml"
    protocol = "JSON array"
    settings = "a worker a core, np.ndarray, inplace_predict"

    def command(self) -> Sequence[str]:
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--working-dir", str(OTHERS)]
        return [str(self._bin / "bentoml"), "serve", "bento:Bench", *options]

    def environment(self) -> Mapping[str, str]:
        quiet = {"BENTOML_DO_NOT_TRACK": "true", "BENTOML_HOME": str(self.folder / "home")}
        return {**super().environment(), **quiet, "BENCH_MODEL": str(self._model)}

    def health(self) -> str:
        return "/readyz"

    def exchange(self, rows: Sequence[Sequence[Cell]]) -> Exchange:
        return post(self.port, "/predict", orjson.dumps({"data": rows}), lambda reply: as_scores(orjson.loads(reply)))


class MLflow(EndpointState):
    """``dataframe_split``."""

    name, key, package = "MLflow", "mlflow", "mlflow"
    protocol = "dataframe_split, JSON"
    settings = "models serve, a worker a core, signature of doubles"

    def command(self) -> Sequence[str]:
        return self._run("mlflow_model.py", self._model, self.port)

    def environment(self) -> Mapping[str, str]:
        path = f"{self._bin}:{super().environment()['PATH']}"
        return {**super().environment(), "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}

    def health(self) -> str:
        return "/ping"

    def exchange(self, rows: Sequence[Sequence[Cell]]) -> Exchange:
        columns = [f"F{index}" for index in range(len(rows[0]))]
        body = orjson.dumps({"dataframe_split": {"columns": columns, "data": rows}})
        return post(self.port, "/invocations", body, _predictions)


class RayServe(EndpointState):
    """``{"instances": [...]}``, as in its examples."""

    name, key, package = "Ray Serve", "ray", "ray"
    protocol = '{"instances": [...]}, JSON'
    settings = "a replica a core behind the HTTP proxy, inplace_predict"

    def command(self) -> Sequence[str]:
        return self._run("ray_serve.py", self._model, self.port)

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), "RAY_USAGE_STATS_ENABLED": "0"}

    def health(self) -> str:
        return "/-/healthz"

    def exchange(self, rows: Sequence[Sequence[Cell]]) -> Exchange:
        return post(self.port, "/predict", orjson.dumps({"instances": rows}), _predictions)


class Container(EndpointState):
    """The SageMaker XGBoost container's serving code, text/csv both ways."""

    name, key, package = "SageMaker XGBoost container", "sagemaker", "sagemaker-containers"
    protocol = "text/csv both ways"
    settings = "algorithm mode, its gunicorn with gevent, a worker a core, without nginx"

    def __init__(self, place: Place, environments: Path, checkout: Path | None) -> None:
        super().__init__(place, environments)
        self._checkout = checkout

    def start(self) -> None:
        if self._checkout is None or not (self._checkout / "src").is_dir():
            raise NotAvailable(f"no checkout; clone {CONTAINER} at {CONTAINER_COMMIT[:7]} and name it with --container")
        super().start()

    def version(self) -> str:
        return CONTAINER_COMMIT[:7]

    def command(self) -> Sequence[str]:
        assert self._checkout is not None
        return self._run("sagemaker_container.py", self._checkout.resolve(), self._model, self.port)

    def health(self) -> str:
        return "/ping"

    def exchange(self, rows: Sequence[Sequence[Cell]]) -> Exchange:
        headers = {"Accept": "text/csv"}
        return post(self.port, "/invocations", csv(rows), _lines, content_type="text/csv", headers=headers)


KEYS = [peer.key for peer in (MLServer, BentoML, MLflow, RayServe, Container)]


def make(place: Place, environments: Path, checkout: Path | None) -> list[EndpointState]:
    """All peers, installed or not."""
    return [
        MLServer(place, environments),
        BentoML(place, environments),
        MLflow(place, environments),
        RayServe(place, environments),
        Container(place, environments, checkout),
    ]


def install(key: str, environments: Path) -> None:
    """Create the environment of one peer from its list, which pins every package, so that nothing is resolved."""
    folder = environments / key
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # sagemaker-containers is available only as source and requires an old Flask; the container ignores that requirement too.
    done = subprocess.run([*pip, "--no-deps", "--requirement", str(OTHERS / f"{key}.txt")], check=False)
    if done.returncode != 0:
        sys.exit(f"{key} could not be installed; pip's words stand above")


def _outputs(reply: bytes) -> Scores:
    return as_scores(orjson.loads(reply)["outputs"][0]["data"])


def _predictions(reply: bytes) -> Scores:
    return as_scores(orjson.loads(reply)["predictions"])


def _lines(reply: bytes) -> Scores:
    return np.array(reply.decode().replace(",", "\n").split(), dtype=np.float64).astype(np.float32)
