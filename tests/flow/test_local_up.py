"""`snowsage local up`: only the owner can read its files, and a second instance does not disturb it.

``tests/support/running.py`` checks at the end of each cloud that no process and no file is left.
"""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.running import Clouds


@pytest.fixture
def state(clouds: Clouds) -> Path:
    return Path(clouds.environment["SNOWFLAKE_HOME"])


def test_only_the_owner_can_read_keys_and_secrets(state: Path) -> None:
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    private = {"env.json", "env.sh", "connections.toml", "key.p8"}
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir() if path.name in private} == (
        dict.fromkeys(private, 0o600)
    )


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
