"""Parts of the multi-worker service: the shared port, the merged metrics and the number of cores."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from app.__main__ import cli
from app.errors import CallerError
from app.serve.process import listener
from app.serve.process.cpu import bound_cores, usable_cores
from app.serve.process.merged_metrics import merge
from app.serve.process.shared_port import DISTRIBUTES, SharedPort, join
from app.serve.process.worker_config import WorkerConfig

HOST = "127.0.0.1"
distributes = pytest.mark.skipif(not DISTRIBUTES, reason="the kernel deals no connections out")


@pytest.fixture(params=[pytest.param(True, marks=distributes), False])
def port(request: pytest.FixtureRequest) -> SharedPort:
    with SharedPort(HOST, 0, request.param) as held:
        yield held


def test_a_reserved_port_is_in_use_for_others_before_a_worker_listens(port: SharedPort) -> None:
    for taking in (listener.listen, SharedPort):
        with pytest.raises(CallerError, match=f"^port {port.number} on {HOST} is in use; .* SNOWSAGE_SERVE_PORT"):
            taking(HOST, port.number)
    with pytest.raises(OSError, match="in use"), socket.create_server((HOST, port.number)):
        pass


@distributes
def test_only_listening_workers_get_connections() -> None:
    with SharedPort(HOST, 0) as port, join(HOST, port.number) as first, join(HOST, port.number) as second:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port.number))
        second.listen()
        for _ in range(8):
            with socket.create_connection((HOST, port.number)):
                second.accept()[0].close()
        first.listen()
        second.close()
        with socket.create_connection((HOST, port.number)):
            first.accept()[0].close()
        with pytest.raises(CallerError, match="in use"):
            SharedPort(HOST, port.number)


@distributes
def test_a_port_can_be_reused_at_once() -> None:
    with SharedPort(HOST, 0) as port, join(HOST, port.number) as worker:
        worker.listen()
        with socket.create_connection((HOST, port.number)):
            worker.accept()[0].close()  # closed from this side first, so the kernel keeps it in TIME_WAIT for a minute
    with listener.listen(HOST, port.number) as alone, socket.create_connection((HOST, port.number)):
        alone.accept()[0].close()
    with SharedPort(HOST, port.number) as again, join(HOST, again.number) as worker:
        worker.listen()


def test_a_port_of_another_program_is_rejected() -> None:
    with socket.create_server((HOST, 0)) as other, pytest.raises(CallerError, match="in use"):
        SharedPort(HOST, other.getsockname()[1])


def told_by(worker: int) -> bytes:
    registry = CollectorRegistry()
    odd = Counter("odd", 'Help with "quotes" {and} braces.', ["text"], registry=registry)
    odd.labels('a{b} "c" \\ \n \u2028 # HELP odd_total no').inc(worker)
    Counter("plain", "Without labels.", registry=registry).inc(worker)
    Histogram("seconds", "Buckets.", ["model"], buckets=[1, 2], registry=registry).labels("churn").observe(worker)
    if worker == 2:
        Counter("rare", "Only one worker has it.", ["text"], registry=registry).labels("").inc()
    return generate_latest(registry)


def test_merged_metrics_are_labelled_by_worker() -> None:
    told = {worker: told_by(worker) for worker in (1, 2)}
    merged = merge({str(worker): text for worker, text in told.items()}).decode()
    found = {family.name: family for family in text_string_to_metric_families(merged)}
    for worker, text in told.items():
        for family in text_string_to_metric_families(text.decode()):
            assert (found[family.name].type, found[family.name].documentation) == (family.type, family.documentation)
            for sample in family.samples:
                own = sample._replace(labels={**sample.labels, "worker": str(worker)})
                assert own in found[family.name].samples
    counted = [len(family.samples) for family in found.values()]
    alone = [len(family.samples) for family in text_string_to_metric_families(told[1].decode())]
    assert sum(counted) == 2 * sum(alone) + 2
    assert merged.count("# TYPE odd_total counter\n") == 1
    assert merged.count("# HELP rare_total ") == 1


def test_metrics_of_one_worker_only_gain_the_label() -> None:
    text = told_by(1).decode()
    assert merge({"1": text.encode()}).decode().replace('worker="1",', "").replace('{worker="1"}', "") == text


@pytest.mark.parametrize(
    ("files", "granted"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "250000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "1600000 100000\n"}, 8),
        ({"cpu.max": "what is this\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ],
)
def test_the_number_of_cores_respects_affinity_and_quota(tmp_path: Path, files: dict[str, str], granted: int) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert usable_cores(tmp_path, bound=8) == granted


def test_cores_of_this_process_are_at_least_one() -> None:
    assert usable_cores() >= 1
    assert bound_cores() >= 1


def test_a_worker_cannot_be_started_by_a_user() -> None:
    for text in ("", "{}", "[1]", '{"number": 1, "of": 2, "folder": "", "more": 1}'):
        refused = CliRunner().invoke(cli, ["serve", "worker", text])
        assert isinstance(refused.exception, CallerError)
        assert "SNOWSAGE_WORKERS" in str(refused.exception)
    assert "worker" not in CliRunner().invoke(cli, ["serve", "--help"]).output.partition("Commands")[2]


def test_a_worker_configuration_is_unchanged_by_a_round_trip_through_the_command_line() -> None:
    for post in (WorkerConfig(1, 2, "/tmp/a b"), WorkerConfig(2, 2, "/tmp/x", 5)):
        assert WorkerConfig.from_json(post.to_json()) == post
