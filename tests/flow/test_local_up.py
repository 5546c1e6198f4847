"""`snowsage local up`: only the owner can read its files, and a second instance does not disturb it.

``tests/support/running.py`` checks at the end of each cloud that no process and no file is left.
"""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.running import Clouds, running_clouds


@pytest.fixture
def state(clouds: Clouds) -> Path:
    return Path(clouds.environment["SNOWFLAKE_HOME"])


def test_only_the_owner_can_read_keys_and_secrets(state: Path) -> None:
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    private = {"env.json", "env.sh", "connections.toml", "key.p8"}
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir() if path.name in private} == (
        dict.fromkeys(private, 0o600)
    )


def test_it_says_what_it_made_and_what_to_do_next(state: Path) -> None:
    said = (state.parent / "up.log").read_text()
    assert "made       database SNOWSAGE with RAW, FEATURE_STORE, ML and ANALYTICS" in said
    assert re.search(r"^loaded     RAW\.ORDERS, [1-9][\d,]* rows$", said, re.MULTILINE)
    assert f"source {state}/env.sh" in said


def test_the_service_logs_json_without_a_terminal(clouds: Clouds, state: Path) -> None:
    lines = [json.loads(line) for line in (state.parent / "serve.log").read_text().splitlines()]
    [listening] = [line for line in lines if line["message"] == "listening"]
    assert listening["docs"] == f"{listening['address']}/docs"


def test_a_second_cloud_in_the_same_folder_is_rejected(clouds: Clouds, state: Path) -> None:
    done = clouds.attempt("local", "up", "--state", str(state))
    assert done.returncode == 2
    assert "a local cloud runs in" in done.stderr
    assert "choose another --state" in done.stderr
    assert clouds.query("SELECT 1") == [(1,)]


def test_a_port_in_use_is_reported(clouds: Clouds, tmp_path: Path) -> None:
    port = str(urlsplit(clouds.environment["AWS_ENDPOINT_URL"]).port)
    done = clouds.attempt_process("local", "up", "--snowflake-port", port, "--state", str(tmp_path / "other"))
    assert done.returncode == 2, done.stderr
    assert port in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "other").exists()


def test_a_folder_with_other_files_is_rejected(clouds: Clouds, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    done = clouds.attempt("local", "up", "--state", str(tmp_path))
    assert done.returncode == 2
    assert "holds other files" in done.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.slow
def test_a_deployed_model_is_kept_over_a_restart(pipeline: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    scores = "SELECT COUNT(*) FROM ANALYTICS.CHURN_SCORES"
    with running_clouds(state, pipeline, keep=True) as before:
        before.snowsage("run", str(pipeline))
        [(rows,)] = before.query(scores)
    with running_clouds(state, pipeline, keep=True) as after:
        assert after.query(scores) == [(rows,)]
        assert "1.0" in after.snowsage("versions", str(pipeline)).stdout
        endpoint = after.aws("sagemaker").describe_endpoint(EndpointName="churn")
        assert endpoint["EndpointStatus"] == "InService"
        again = after.snowsage("run", str(pipeline)).stderr
        assert again.count("(done before)") == 7, again
        live = after.query(
            "SELECT COUNT(ML.PREDICT_CHURN(OBJECT_CONSTRUCT_KEEP_NULL(* EXCLUDE AS_OF))) FROM FEATURE_STORE.CHURN_FEATURES"
        )
        assert live == [(rows,)]
