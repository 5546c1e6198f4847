"""The entry code started by the SDK's driver scripts under ``/opt/ml``; skipped where the test must not write there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sagemaker_entry
from app.train.plan import MODULE
from tests.entry.channel import HYPERPARAMETERS, Job, rows, write_channel

ML = Path("/opt/ml")

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="/opt/ml belongs to root"),
    # Importing the SDK causes warnings about its own code.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture
def container(tmp_path: Path) -> Iterator[dict[str, str]]:
    """``/opt/ml`` as SageMaker creates it for a job of the SDK. Yields the environment of the container's first process."""
    if ML.exists():
        pytest.skip("/opt/ml is there already and not ours")
    from sagemaker.train import constants, templates

    try:
        drivers, code = ML / "input/data/sm_drivers", ML / "input/data/code"
        shutil.copytree(constants.SM_DRIVERS_LOCAL_PATH, drivers)
        package = Path(sagemaker_entry.__file__).parent
        shutil.copytree(package, code / package.name, ignore=shutil.ignore_patterns("__pycache__"))
        script = templates.TRAIN_SCRIPT_TEMPLATE.format(
            working_dir=f"cd {constants.SM_CODE_CONTAINER_PATH} \n",
            install_requirements="",
            execute_driver=templates.EXECUTE_BASE_COMMANDS.format(base_command=f"exec python3 -m {MODULE}"),
        )
        (drivers / constants.TRAIN_SCRIPT).write_text(script)
        (drivers / constants.SOURCE_CODE_JSON).write_text(json.dumps({"command": f"exec python3 -m {MODULE}"}))
        write_channel(ML / "input/data/train", rows(60))
        _write_config(ML / "input/config")
        (ML / "output").mkdir()
        yield {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TRAINING_JOB_NAME": "entry-test",
            "HOME": str(tmp_path),
        }
    finally:
        shutil.rmtree(ML, ignore_errors=True)


def _write_config(folder: Path) -> None:
    folder.mkdir(parents=True)
    host = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}
    host["current_instance_type"] = "ml.m5.xlarge"
    (folder / "resourceconfig.json").write_text(json.dumps(host))
    channels = ("train", "code", "sm_drivers")
    mode = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    (folder / "inputdataconfig.json").write_text(json.dumps(dict.fromkeys(channels, mode)))
    # SageMaker passes every hyperparameter as text.
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in HYPERPARAMETERS.items()}
    (folder / "hyperparameters.json").write_text(json.dumps(texts))


def start(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the job's container arguments, as the SDK sends them."""
    from sagemaker.train.constants import DEFAULT_CONTAINER_ARGUMENTS, DEFAULT_CONTAINER_ENTRYPOINT

    command = [*DEFAULT_CONTAINER_ENTRYPOINT, *DEFAULT_CONTAINER_ARGUMENTS]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_drivers_start_the_entry_code_and_train_the_same_model(container: dict[str, str], tmp_path: Path) -> None:
    done = start(container)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test:auc=" in done.stdout
    plain = Job(tmp_path / "plain", ML / "input/data/train")
    plain.folder.mkdir()
    assert plain.run().returncode == 0
    assert (ML / "model/model.ubj").read_bytes() == (plain.model / "model.ubj").read_bytes()
    assert (ML / "model/code/sagemaker_entry/inference.py").is_file()


@pytest.mark.slow
def test_a_failure_is_written_where_sagemaker_reads_it(container: dict[str, str]) -> None:
    (ML / "input/data/train/manifest.json").unlink()
    done = start(container)
    assert done.returncode == 1
    assert (ML / "output/failure").read_text().startswith("the channel has no manifest.json")
    assert "Traceback" not in done.stdout + done.stderr
