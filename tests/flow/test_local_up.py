"""`snowsage local up`: its files are its owner's, a second one does not disturb it, and its end leaves nothing behind."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.running import Clouds, local_up


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up") / "state"


@pytest.fixture(scope="module")
def clouds(state: Path) -> Iterator[Clouds]:
    with local_up(state) as environment:
        yield Clouds(environment)


def addresses(environment: dict[str, str]) -> list[tuple[str, int]]:
    urls = [urlsplit(environment[name]) for name in ("AWS_ENDPOINT_URL", "SNOWSAGE_GATEWAY_URL")]
    return [(str(url.hostname), int(url.port or 0)) for url in urls]


def test_keys_and_secrets_are_for_the_owner_alone(clouds: Clouds, state: Path) -> None:
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    private = {"env.json", "env.sh", "connections.toml", "key.p8"}
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir() if path.name in private} == (
        dict.fromkeys(private, 0o600)
    )


def test_a_second_one_in_the_same_folder_is_refused(clouds: Clouds, state: Path) -> None:
    done = clouds.attempt("local", "up", "--state", str(state))
    assert done.returncode == 2
    assert "a local cloud runs in" in done.stderr
    assert "choose another --state" in done.stderr
    assert clouds.query("SELECT 1") == [(1,)]


def test_a_port_in_use_is_told(clouds: Clouds, tmp_path: Path) -> None:
    port = str(addresses(clouds.environment)[0][1])
    for option in ("--snowflake-port", "--aws-port", "--gateway-port"):
        done = clouds.attempt("local", "up", option, port, "--state", str(tmp_path / "other"))
        assert done.returncode == 2, done.stderr
        assert port in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "other").exists()


def test_a_folder_with_other_files_is_left_alone(clouds: Clouds, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    done = clouds.attempt("local", "up", "--state", str(tmp_path))
    assert done.returncode == 2
    assert "holds other files" in done.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_signal_ends_all_of_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with local_up(state) as environment:
        for address in addresses(environment):
            socket.create_connection(address, 5).close()
    assert not state.exists()
    for address in addresses(environment):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 5)
