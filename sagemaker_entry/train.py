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
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from sagemaker_entry.contract import ContractViolation
from sagemaker_entry.dataset import DataProblem, Dataset, Part
from sagemaker_entry.evaluate import baseline, leak_warnings, mean_alone, measure, single_columns, training_warnings
from sagemaker_entry.hyperparameters import converted, faults, feature_fault
from sagemaker_entry.model import Model
from sagemaker_entry.objectives import LABELS, WATCHED, kind_of, watched_metric
from sagemaker_entry.split import SplitError, split_by_time

#: Without this file the toolkit generates one that installs no packages.
SETUP_PY = """from setuptools import find_packages, setup

setup(name='sagemaker-entry', version='1', packages=find_packages())
"""

#: ``/workspace/src/tree/updater.cc:111: Check failed: condition: `` in an error of XGBoost.
_PLACE = re.compile(r"^\S+\.(cc|cu|h):\d+: (Check failed: [^:]*: )?")

#: Rounds between two lines of progress.
PRINT_EVERY_ROUNDS = 20


@dataclass(frozen=True)
class Job:
    """The job's hyperparameters. ``xgboost``: those for XGBoost itself."""

    xgboost: dict[str, Any]
    rounds: int
    early_stopping_rounds: int
    split_by: str
    seed: int
    horizon: timedelta
    validation: float
    test: float

    @property
    def objective(self) -> str:
        return str(self.xgboost["objective"])


def read_job(hyperparameters: dict[str, Any]) -> Job:
    """Separate the job's own hyperparameters from XGBoost's. Raises DataProblem for a missing or unsound one."""
    left = dict(hyperparameters)
    try:
        split_by = str(left.pop("split_by", "time"))
        seed = int(left.pop("split_seed", 0))
        horizon = timedelta(seconds=float(left.pop("split_horizon_s")))
        validation, test = float(left.pop("split_validation")), float(left.pop("split_test"))
    except (KeyError, TypeError, ValueError) as error:
        raise DataProblem(f"the hyperparameters are incomplete or ill-typed: {error}") from error
    if split_by not in ("time", "hash", "random"):
        raise DataProblem(f"split_by must be time, hash or random, not {split_by}")
    if found := [f"{name}: {text}" for name, text in faults(left)]:
        raise DataProblem(f"the hyperparameters cannot be used: {'; '.join(found)}")
    sound = {name: converted(name, value) for name, value in left.items()}
    sound.setdefault("objective", "binary:logistic")
    return Job(
        rounds=sound.pop("n_estimators", 100),
        early_stopping_rounds=sound.pop("early_stopping_rounds", 20),
        split_by=split_by,
        seed=seed,
        horizon=horizon,
        validation=validation,
        test=test,
        xgboost={"seed": 0, "tree_method": "hist", **sound},
    )


def fit(job: Job, contract_names: list[str], kinds: list[str], train: Part, validation: Part) -> Any:
    """A booster fitted on ``train``, stopped early on ``validation`` and cut to its best round.

    Without early stopping it has all its rounds.
    """
    from sagemaker_entry.engine import xgboost

    columns = {"feature_names": contract_names, "feature_types": kinds, "enable_categorical": True}
    if job.xgboost["tree_method"] in ("exact", "approx"):  # which read the numbers themselves, not their bins
        fitted_on, watched = (xgboost.DMatrix(part.matrix, part.label, **columns) for part in (train, validation))
    else:
        columns["max_bin"] = job.xgboost.get("max_bin")
        fitted_on = xgboost.QuantileDMatrix(train.matrix, train.label, **columns)
        watched = xgboost.QuantileDMatrix(validation.matrix, validation.label, ref=fitted_on, **columns)
    try:
        booster = xgboost.train(
            {**job.xgboost, "eval_metric": watched_metric(job.xgboost)},
            fitted_on,
            job.rounds,
            evals=[(watched, "validation")],
            early_stopping_rounds=job.early_stopping_rounds or None,
            verbose_eval=PRINT_EVERY_ROUNDS,
        )
    except (xgboost.core.XGBoostError, ValueError) as refused:
        raise DataProblem(f"XGBoost refuses the hyperparameters: {_first_sentence(str(refused))}") from refused
    return booster[: booster.best_iteration + 1] if job.early_stopping_rounds else booster


def train(channel: Path, model_dir: Path, hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """Run the whole job and return its report. Raises DataProblem, ContractViolation or SplitError."""
    started = time.monotonic()
    job = read_job(hyperparameters)
    data = Dataset(channel)
    parts, unused = _split(job, data)
    for name, part in parts.items():
        _check_label(job, data.contract.label, name, part)
    contract = data.contract
    if fault := feature_fault(hyperparameters, contract.names, categories=contract.has_categories):
        raise DataProblem(f"the hyperparameters cannot be used: {fault[0]}: {fault[1]}")
    kinds = ["c" if column.dtype == "category" else "float" for column in contract.columns]
    booster = fit(job, list(contract.names), kinds, parts["train"], parts["validation"])
    model = Model(booster, contract)
    report = _report(job, model, unused, parts, time.monotonic() - started)
    model_dir.mkdir(parents=True, exist_ok=True)
    model.save(model_dir)
    (model_dir / "report.json").write_text(json.dumps(report, indent=1))
    (model_dir / "baseline.json").write_text(json.dumps(baseline(contract, parts["train"]), indent=1))
    _pack_code(model_dir / "code")
    return report


def _split(job: Job, data: Dataset) -> tuple[dict[str, Part], tuple[datetime, ...]]:
    """The parts by name, and the as-of times in none of them."""
    if job.split_by == "hash":
        return data.parts_by_hash(job.validation, job.test), ()
    if job.split_by == "random":
        return data.parts_at_random(job.seed, job.validation, job.test), ()
    split = split_by_time(data.times, job.horizon, job.validation, job.test)
    return {name: data.part(getattr(split, name)) for name in ("train", "validation", "test")}, split.unused


def _check_label(job: Job, label: str, name: str, part: Part) -> None:
    if len(part) == 0:
        raise DataProblem(f"the {name} part has no rows: check the sources and the label's as-of times")
    classes = np.unique(part.label)
    bounds, binary = LABELS.get(job.objective), kind_of(job.objective) == "binary"
    outside = [value for value in classes.tolist() if not np.isfinite(value) or (bounds and not bounds.hold(value))]
    outside += [value for value in classes.tolist() if binary and 0 < value < 1]
    if outside:
        wanted = "0 or 1" if binary else f"a finite number {bounds or ''}".strip()
        raise DataProblem(f"the label {label} must be {wanted} for {job.objective}, it has {len(outside)} other values")
    if len(classes) < 2:
        raise DataProblem(
            f"the label {label} has one {'class' if binary else 'value'} only in the {name} part ({len(part)} rows): a model "
            "cannot learn or be measured there; check the label's definition, its horizon and its as-of times"
        )


def _report(
    job: Job, model: Model, unused: tuple[datetime, ...], parts: dict[str, Part], seconds: float
) -> dict[str, Any]:
    from sagemaker_entry.engine import xgboost

    contract = model.contract
    scores = {name: model.predict(part.matrix) for name, part in parts.items() if name != "train"}
    alone, metric = single_columns(contract, job.objective, parts), WATCHED[kind_of(job.objective)]
    gains, rounds = model.booster.get_score(importance_type="total_gain"), model.booster.num_boosted_rounds()
    total = sum(gains.values()) or 1.0
    return {
        "objective": job.objective,
        "metric": metric,
        "metrics": {name: measure(job.objective, parts[name].label, found) for name, found in scores.items()},
        "mean": mean_alone(job.objective, parts["train"], parts["test"]),
        "single_column": alone[metric][0],
        "single_columns": alone,
        "warnings": [*training_warnings(rounds, job.rounds, scores["test"]), *leak_warnings(alone)],
        "parts": {name: _describe(part) for name, part in parts.items()},
        "unused_as_of": [_iso(value) for value in unused],
        "rounds": rounds,
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


def _first_sentence(text: str) -> str:
    """XGBoost's errors begin with a place in its sources and end with a C++ stack trace; what is between is enough."""
    lines = [line.partition("] ")[2] or line for line in text.splitlines() if line.strip()]
    return _PLACE.sub("", lines[0]).strip()[:300] if lines else "no reason given"


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
    for single in chain.from_iterable(report["single_columns"].values()):
        print(f"alone:{single['metric']}={single['value']}; {single['column']}")
    for name, value in report["mean"].items():
        print(f"mean:{name}={value}; the training rows' mean label as every score")
    for warning in report["warnings"]:
        print(f"warning: {warning}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
