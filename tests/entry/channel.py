"""A training channel of synthetic data, as the export stage writes it, and a run of the entry code, as in the container."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import sagemaker_entry
from app.export.manifest import Export, ExportedFile
from sagemaker_entry import train
from sagemaker_entry.contract import Column, Contract

CONTRACT = Contract((Column("X"), Column("Y"), Column("KIND", "category", ("a", "b"))), key=("ID",), label="L")
TIMES = [datetime(2024, 1, 1) + timedelta(days=30 * step) for step in range(12)]
HYPERPARAMETERS = {
    "objective": "binary:logistic",
    "max_depth": 3,
    "n_estimators": 15,
    "split_horizon_s": 90 * 86400,
    "split_validation": 0.1,
    "split_test": 0.2,
}


def rows(entities: int = 150) -> dict[str, Any]:
    """Columns with a row for each entity at each time. X and KIND contain NULL and explain a part of the label."""
    chance = np.random.default_rng(5)
    count = entities * len(TIMES)
    x, y = chance.normal(size=count), chance.integers(0, 9, count).astype(float)
    kind = np.where(chance.random(count) < 0.5, "a", "b").astype(object)
    label = (x + (kind == "a") + chance.normal(size=count) > 0.5).astype(float)
    x[chance.random(count) < 0.1] = np.nan
    kind[chance.random(count) < 0.05] = None
    return {
        "ID": np.tile(np.arange(entities), len(TIMES)),
        "AS_OF": np.repeat(np.array(TIMES, "datetime64[us]"), entities),
        "L": label,
        "X": x,
        "Y": y,
        "KIND": kind,
    }


def write_channel(
    folder: Path,
    columns: dict[str, Any],
    parts: int = 2,
    order: np.ndarray | None = None,
    contract: Contract = CONTRACT,
) -> Path:
    """Write ``columns`` as ``parts`` Parquet files and a manifest. ``order``: the order of the rows."""
    count = len(columns["ID"])
    order = np.arange(count) if order is None else order
    files = []
    for index, chosen in enumerate(np.array_split(order, parts)):
        name = f"data/data_0_{index}_0.snappy.parquet"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.table({key: pa.array(values[chosen], from_pandas=True) for key, values in columns.items()})
        pq.write_table(table, path)
        files.append(ExportedFile(name, len(chosen), path.stat().st_size))
    export = Export("s3://b/k/", contract.to_dict(), count, tuple(files), ("ID", "AS_OF"))
    (folder / "manifest.json").write_bytes(export.to_json())
    return folder


@dataclass
class Job:
    """One run of the entry code, with its own folders."""

    folder: Path
    channel: Path
    hyperparameters: dict[str, Any] = field(default_factory=lambda: dict(HYPERPARAMETERS))
    python: str = sys.executable

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def failure(self) -> str:
        path = self.folder / "output/failure"
        return path.read_text() if path.is_file() else ""

    def run(self, as_arguments: bool = False) -> subprocess.CompletedProcess[str]:
        """Start the module in a folder that holds only a copy of the package, as both launchers do."""
        code = self.folder / "code"
        package = Path(sagemaker_entry.__file__).parent
        shutil.copytree(package, code / package.name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        texts = [f"{name}={value}" for name, value in self.hyperparameters.items()]
        arguments = [part for text in texts for part in (f"--{text.partition('=')[0]}", text.partition("=")[2])]
        environment = self._environment() | ({"SM_HPS": "{}"} if as_arguments else {})
        command = [self.python, "-m", "sagemaker_entry.train", *(arguments if as_arguments else [])]
        return subprocess.run(command, cwd=code, env=environment, capture_output=True, text=True, check=False)

    def run_here(self) -> subprocess.CompletedProcess[str]:
        """Run the module's ``main`` in this process, which has already imported XGBoost."""
        out, err = io.StringIO(), io.StringIO()
        with patch.dict(os.environ, self._environment()), redirect_stdout(out), redirect_stderr(err):
            code = train.main([])
        return subprocess.CompletedProcess([], code, out.getvalue(), err.getvalue())

    def _environment(self) -> dict[str, str]:
        (self.folder / "output").mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "SM_CHANNEL_TRAIN": str(self.channel),
            "SM_MODEL_DIR": str(self.model),
            "SM_OUTPUT_FAILURE": str(self.folder / "output/failure"),
            "SM_HPS": json.dumps(self.hyperparameters),
        }
