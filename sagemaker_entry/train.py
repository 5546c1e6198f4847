"""The training job: Parquet channel -> checked -> fitted -> evaluated -> model, report.json, baseline.json.

Started as ``python3 -m sagemaker_entry.train`` by the SDK's driver (hyperparameters in ``SM_HPS``) or by the container's own
toolkit (hyperparameters as ``--name value`` arguments). Writes to ``SM_MODEL_DIR``: ``model.ubj``, ``contract.json``,
``report.json``, ``baseline.json``, and this package as ``code/``, from which the endpoint serves.

A fault of the data ends the job with one sentence in ``/opt/ml/output/failure`` and no traceback: SageMaker shows that file as
the job's FailureReason.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from sagemaker_entry.contract import ContractViolation
from sagemaker_entry.dataset import DataProblem, Dataset, Part
from sagemaker_entry.evaluate import METRICS, baseline, kind_of, measure, single_columns
from sagemaker_entry.model import Model
from sagemaker_entry.split import Split, SplitError, split_by_time

#: Without this file the toolkit generates one that installs no packages.
SETUP_PY = "from setuptools import setup\n\nsetup(name='sagemaker-entry', version='1', packages=['sagemaker_entry'])\n"

#: Rounds between two lines of progress.
PRINT_EVERY_ROUNDS = 20


@dataclass(frozen=True)
class Job:
    """The job's hyperparameters. ``xgboost``: those for XGBoost itself."""

    xgboost: dict[str, Any]
    rounds: int
    early_stopping_rounds: int
    horizon: timedelta
    validation: float
    test: float
    metric: str

    @property
    def objective(self) -> str:
        return str(self.xgboost["objective"])


def read_job(hyperparameters: dict[str, Any]) -> Job:
    """Separate the job's own hyperparameters from XGBoost's. Raises DataProblem for a missing or ill-typed one."""
    left = dict(hyperparameters)
    try:
        objective = str(left.get("objective", ""))
        if kind_of(objective) not in METRICS:
            raise DataProblem(
                f"objective must be one of {', '.join(f'{kind}:...' for kind in METRICS)}, not {objective!r}"
            )
        return Job(
            rounds=int(left.pop("n_estimators", 100)),
            early_stopping_rounds=int(left.pop("early_stopping_rounds", 20)),
            horizon=timedelta(seconds=float(left.pop("split_horizon_s"))),
            validation=float(left.pop("split_validation")),
            test=float(left.pop("split_test")),
            metric=str(left.pop("report_metric")),
            xgboost={"seed": 0, "tree_method": "hist", **left},
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, DataProblem):
            raise
        raise DataProblem(f"the hyperparameters are incomplete or ill-typed: {error}") from error


def fit(job: Job, contract_names: list[str], kinds: list[str], train: Part, validation: Part) -> Any:
    """A booster fitted on ``train``, stopped early on ``validation`` and cut to its best round."""
    import xgboost

    def matrix(part: Part, reference: Any = None) -> Any:
        return xgboost.QuantileDMatrix(
            part.matrix,
            part.label,
            feature_names=contract_names,
            feature_types=kinds,
            enable_categorical=True,
            ref=reference,
        )

    fitted_on = matrix(train)
    watched = matrix(validation, fitted_on)
    params = {
        **job.xgboost,
        "eval_metric": {"auc": "auc", "average_precision": "aucpr"}.get(job.metric, job.metric),
    }
    try:
        _refuse_unknown(params, fitted_on)
        booster = xgboost.train(
            params,
            fitted_on,
            job.rounds,
            evals=[(watched, "validation")],
            early_stopping_rounds=job.early_stopping_rounds,
            verbose_eval=PRINT_EVERY_ROUNDS,
        )
    except xgboost.core.XGBoostError as refused:
        raise DataProblem(f"XGBoost refuses the hyperparameters: {_last_line(str(refused))}") from refused
    return booster[: booster.best_iteration + 1]


def _refuse_unknown(params: dict[str, Any], data: Any) -> None:
    """Raise DataProblem for a name that XGBoost does not know: it would only warn, and train without it."""
    import xgboost

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        xgboost.train(params, data, 0)
    for warning in said:
        if match := re.search(r"Parameters: \{ (.*?) \} are not used", str(warning.message)):
            raise DataProblem(f"XGBoost has no hyperparameter {match[1]}: correct its spelling")


def train(channel: Path, model_dir: Path, hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """Run the whole job and return its report. Raises DataProblem, ContractViolation or SplitError."""
    started = time.monotonic()
    job = read_job(hyperparameters)
    data = Dataset(channel)
    split = split_by_time(data.times, job.horizon, job.validation, job.test)
    parts = {name: data.part(getattr(split, name)) for name in ("train", "validation", "test")}
    for name, part in parts.items():
        _check_label(job, data.contract.label, name, part)
    contract = data.contract
    kinds = ["c" if column.dtype == "category" else "float" for column in contract.columns]
    booster = fit(job, list(contract.names), kinds, parts["train"], parts["validation"])
    model = Model(booster, contract)
    report = _report(job, model, split, parts, time.monotonic() - started)
    model_dir.mkdir(parents=True, exist_ok=True)
    model.save(model_dir)
    (model_dir / "report.json").write_text(json.dumps(report, indent=1))
    (model_dir / "baseline.json").write_text(json.dumps(baseline(contract, parts["train"]), indent=1))
    _pack_code(model_dir / "code")
    return report


def _check_label(job: Job, label: str, name: str, part: Part) -> None:
    if len(part) == 0:
        raise DataProblem(f"the {name} part has no rows: check the sources and the label's as-of times")
    classes = np.unique(part.label)
    if kind_of(job.objective) == "binary":
        if not set(classes.tolist()) <= {0.0, 1.0}:
            raise DataProblem(
                f"the label {label} must be 0 or 1 for {job.objective}, it has {len(classes)} other values"
            )
        if len(classes) < 2:
            raise DataProblem(
                f"the label {label} has one class only in the {name} part ({len(part)} rows): a model cannot learn or be "
                "measured there; check the label's definition, its horizon and its as-of times"
            )


def _report(job: Job, model: Model, split: Split, parts: dict[str, Part], seconds: float) -> dict[str, Any]:
    import xgboost

    contract = model.contract
    metrics = {
        name: measure(job.objective, part.label, model.predict(part.matrix))
        for name, part in parts.items()
        if name != "train"
    }
    alone = single_columns(contract, job.objective, parts["train"], parts["test"], job.metric)
    gains = model.booster.get_score(importance_type="total_gain")
    total = sum(gains.values()) or 1.0
    return {
        "objective": job.objective,
        "metric": job.metric,
        "more_is_better": METRICS[kind_of(job.objective)][job.metric],
        "metrics": metrics,
        "single_column": alone[0],
        "single_columns": alone,
        "parts": {name: _describe(part) for name, part in parts.items()},
        "unused_as_of": [_iso(value) for value in split.unused],
        "rounds": model.booster.num_boosted_rounds(),
        "importance": {name: round(gains.get(name, 0.0) / total, 6) for name in contract.names},
        "hyperparameters": {**job.xgboost, "n_estimators": job.rounds},
        "fingerprint": contract.fingerprint,
        "xgboost": xgboost.__version__,
        "seconds": round(seconds, 3),
    }


def _describe(part: Part) -> dict[str, Any]:
    return {
        "rows": len(part),
        "as_of": [_iso(value) for value in part.times],
        "label_mean": round(float(part.label.mean()), 6),
    }


def _iso(value: datetime) -> str:
    return value.isoformat()


def _pack_code(folder: Path) -> None:
    """Put this package where the endpoint's container expects user code."""
    package = Path(__file__).parent
    shutil.copytree(
        package, folder / package.name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*")
    )
    (folder / "setup.py").write_text(SETUP_PY)


def read_hyperparameters(arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Hyperparameters from ``--name value`` arguments, or without arguments from ``SM_HPS``; values are read as JSON."""
    if not arguments:
        found: dict[str, Any] = json.loads(environment.get("SM_HPS", "{}"))
        return found
    names, values = arguments[::2], arguments[1::2]
    if len(names) != len(values) or not all(name.startswith("--") for name in names):
        raise DataProblem("arguments must come as --name value pairs")
    return {name[2:]: _json_or_text(value) for name, value in zip(names, values, strict=True)}


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _last_line(text: str) -> str:
    """XGBoost's errors end with a C++ stack trace; the first line with a message is enough."""
    lines = [line.partition("] ")[2] or line for line in text.splitlines() if line.strip()]
    return lines[0].strip()[:300] if lines else "no reason given"


def _fail(reason: str) -> int:
    path = Path(os.environ.get("SM_OUTPUT_FAILURE", "/opt/ml/output/failure"))
    print(f"Training failed: {reason}", file=sys.stderr)
    if path.parent.is_dir():
        path.write_text(reason)
    return 1


def main(arguments: list[str]) -> int:
    """The job's process: returns its exit code, and writes the reason of a failure where SageMaker reads it."""
    try:
        hyperparameters = read_hyperparameters(arguments, dict(os.environ))
        report = train(Path(os.environ["SM_CHANNEL_TRAIN"]), Path(os.environ["SM_MODEL_DIR"]), hyperparameters)
    except (DataProblem, ContractViolation, SplitError) as problem:
        return _fail(str(problem))
    except Exception as fault:
        traceback.print_exc()
        return _fail(f"{type(fault).__name__}: {fault}")
    for part, metrics in report["metrics"].items():
        for name, value in metrics.items():
            print(f"{part}:{name}={value};")  # the job's MetricDefinitions match this format
    for single in report["single_columns"]:
        print(f"alone:{single['metric']}={single['value']}; {single['column']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
