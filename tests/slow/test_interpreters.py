"""The demo, Python in the warehouse and the entry code on the supported interpreters of this machine."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sagemaker_entry import inference, npy
from sagemaker_entry.model import encode_columns
from tests.entry.channel import CONTRACT, Job, rows, write_channel
from tests.support.interpreters import (
    REPOSITORY,
    Interpreter,
    claimed,
    environment,
    interpreters,
    project_environment,
)

pytestmark = pytest.mark.slow

# The packages of SageMaker's XGBoost image 3.2-0. The image runs Python 3.12; the entry code supports 3.10, too.
IMAGE = ["numpy==2.1.0", "pyarrow==22.0.0", "xgboost-cpu==3.2.0", "scikit-learn>=1.7,<1.9", "flask==3.1.3"]
PREDICT = """
import sys
from sagemaker_entry import inference, npy
model = inference.model_fn(sys.argv[1])
payload = inference.input_fn(sys.stdin.buffer.read(), sys.argv[2])
sys.stdout.buffer.write(inference.output_fn(inference.predict_fn(payload, model), "*/*")[0])
"""


@pytest.fixture(scope="module", params=["oldest", "newest"])
def interpreter(request: pytest.FixtureRequest) -> Interpreter:
    """The oldest and the newest supported interpreter of this machine."""
    found = interpreters(claimed())
    if request.param == "newest" and len(found) == 1:
        pytest.skip(f"this machine has one supported interpreter, Python {found[0]}; it was used as the oldest")
    return found[0 if request.param == "oldest" else -1]


def run(*command: str | Path) -> str:
    """The output of a command. A failure shows the end of it. The command does not inherit the tests' settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SNOWSAGE_", "AWS_", "PYTEST_", "PYTHON"))
    }
    done = subprocess.run(command, cwd=REPOSITORY, env=kept, capture_output=True, text=True, check=False, timeout=3600)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def test_the_demo_runs(interpreter: Interpreter, tmp_path: Path) -> None:
    said = run(project_environment(interpreter), "-m", "app", "demo", "--state", tmp_path / "state")
    assert "equal, bit for bit, to what the batch stage wrote into the table" in " ".join(said.split())


def test_python_in_the_warehouse_runs(interpreter: Interpreter) -> None:
    suite = sorted((REPOSITORY / "localcloud/tests/snowflake/routines").glob("test_python_*.py"))
    assert suite
    run(project_environment(interpreter), "-m", "pytest", "-q", "-p", "no:cacheprovider", *suite)


def test_the_entry_code_runs_with_the_packages_of_the_image(tmp_path: Path) -> None:
    """A model trained in that environment has the same scores there and here, bit for bit."""
    columns = rows(60)
    channel = write_channel(tmp_path / "channel", columns)
    body = io.BytesIO()
    np.save(body, encode_columns(CONTRACT, {name: columns[name] for name in CONTRACT.names}))
    content_type = f"{npy.CONTENT_TYPE}; contract={CONTRACT.fingerprint}"
    for interpreter in interpreters({(3, 10), *claimed()}):
        python = environment(interpreter, "image", [IMAGE])
        job = Job(tmp_path / str(interpreter), channel, python=str(python))
        done = job.run()
        assert done.returncode == 0, f"Python {interpreter}: {done.stdout}{done.stderr}"
        command = [str(python), "-c", PREDICT, str(job.model), content_type]
        there = subprocess.run(
            command, cwd=job.folder / "code", input=body.getvalue(), capture_output=True, check=False
        )
        assert there.returncode == 0, f"Python {interpreter}: {there.stderr.decode()}"
        payload = inference.input_fn(body.getvalue(), content_type)
        here, _ = inference.output_fn(inference.predict_fn(payload, inference.model_fn(str(job.model))), "*/*")
        assert there.stdout == here, f"Python {interpreter}"
