"""The trial of a model before it is registered: in a process of its own, which may die of it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from app.errors import PermanentError
from app.registry.artifact import Artifact
from app.registry.trial import run_trial
from sagemaker_entry.contract import Contract
from sagemaker_entry.model import CONTRACT_FILE, MODEL_FILE
from sagemaker_entry.model_file import trial
from tests.support.mutants import KINDS, saved


def artifact(folder: Path, body: bytes, contract: Contract) -> Artifact:
    (folder / MODEL_FILE).write_bytes(body)
    (folder / CONTRACT_FILE).write_text(json.dumps(contract.to_dict()))
    return Artifact(folder, "ab" * 32)


@pytest.mark.parametrize("kind", KINDS)
def test_sample_rows_are_of_the_contract(kind: str) -> None:
    _, contract, _ = saved(kind)
    matrix = trial.sample(contract)
    assert (matrix.dtype, matrix.shape[1]) == (np.float32, len(contract.names))
    assert not np.isinf(matrix).any()
    assert np.isnan(matrix).any()
    for index, column in enumerate(contract.columns):
        if column.categories:
            assert set(matrix[~np.isnan(matrix[:, index]), index]) <= set(range(len(column.categories)))


def test_a_good_model_scores_the_sample_rows(tmp_path: Path) -> None:
    body, contract, _ = saved("categories")
    assert run_trial(artifact(tmp_path, body, contract)) == len(trial.sample(contract))


def test_a_damaged_model_is_refused_with_the_fault(tmp_path: Path) -> None:
    body, contract, _ = saved("numbers")
    with pytest.raises(PermanentError, match=r"cannot be loaded and is not registered: .*objective is unknown"):
        run_trial(artifact(tmp_path, body.replace(b"binary:logistic", b"binary:logistik"), contract))


def test_a_model_of_several_scores_a_row_is_refused(tmp_path: Path) -> None:
    body, contract, _ = saved("classes")
    with pytest.raises(PermanentError, match="one finite score for each sample row"):
        run_trial(artifact(tmp_path, body, contract))


def test_a_model_that_ends_its_process_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body, contract, _ = saved("numbers")
    # Stands in for a model that passes the check of its structure and still ends the process.
    (tmp_path / "sitecustomize.py").write_text(f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path)]))
    with pytest.raises(PermanentError, match="ended by SIGSEGV, so the model is not registered"):
        run_trial(artifact(tmp_path, body, contract))
