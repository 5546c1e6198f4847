"""Several workers on one port: all answer, failed ones are replaced, and callers see one service."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.deploy.live import LiveVersion
from app.serve.codecs import warm
from tests.contract.serve.worker_processes import BATCH, PROGRAM, RunningService, running_service
from tests.unit.serve.fakes import SECRET, live_version


def version(number: int, **moments: float) -> LiveVersion:
    return replace(live_version(version=f"{number}.0", endpoint=str(number)), variant=f"v{number}", **moments)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Two workers that the tests of this module share; each test leaves both running."""
    warm()  # compiled once; the workers load it from disk
    with running_service(tmp_path_factory.mktemp("workers") / "store", version(1)) as running:
        yield running


def alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def samples(service: RunningService, name: str) -> dict[str, float]:
    """A metric's values by worker, summed over its other labels."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(service.get("/metrics").text):
        for sample in family.samples:
            if sample.name == f"snowsage_serve_{name}":
                worker = sample.labels.get("worker", "")
                found[worker] = found.get(worker, 0) + sample.value
    return found


class Callers:
    """Threads that send requests without a pause, each on its own connection as long as the service keeps it open."""

    def __init__(self, service: RunningService, count: int) -> None:
        self.seen: list[tuple[float, float, httpx.Response]] = []
        self.broken: list[Exception] = []
        self._url, self._done = service.url, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def leave(self) -> None:
        """Let each thread finish its current request and stop."""
        self._done.set()

    def __exit__(self, *_: object) -> None:
        self.leave()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        headers = {"x-snowsage-secret": SECRET}
        with httpx.Client(base_url=self._url, headers=headers, timeout=20, trust_env=False) as client:
            while not self._done.is_set():
                begun = time.time()
                try:
                    answer = client.post("/predict/churn", json=BATCH)
                    self.seen.append((begun, time.time(), answer))
                except httpx.TransportError as error:
                    self.broken.append(error)


def test_all_workers_answer_on_one_port(service: RunningService) -> None:
    assert set(service.pids) == {"1", "2"}
    assert service.process.pid not in service.pids.values()
    before = samples(service, "rows_total")
    # Each request has its own connection; all 40 reach the same worker as rarely as 40 coin tosses are equal.
    assert {service.post("/predict/churn", json=BATCH).status_code for _ in range(40)} == {200}
    after = samples(service, "rows_total")
    grown = {worker: after[worker] - before.get(worker, 0) for worker in after}
    assert set(grown) == {"1", "2"}
    assert min(grown.values()) > 0
    assert sum(grown.values()) == 40 * len(BATCH["data"])


def test_the_metrics_of_all_workers_are_one_valid_exposition(service: RunningService) -> None:
    text = service.get("/metrics").text
    for word in ("HELP", "TYPE"):
        told = [line.split(" ")[2] for line in text.splitlines() if line.startswith(f"# {word} ")]
        assert len(told) == len(set(told)) > 10
    families = {family.name: family for family in text_string_to_metric_families(text)}
    all_samples = [
        (sample.name, *sorted(sample.labels.items())) for item in families.values() for sample in item.samples
    ]
    assert len(all_samples) == len(set(all_samples))
    of_workers = {
        family.name: {sample.labels.get("worker") for sample in family.samples} for family in families.values()
    }
    assert of_workers.pop("snowsage_serve_workers") == of_workers.pop("snowsage_serve_workers_unheard") == {None}
    assert {worker for workers in of_workers.values() for worker in workers} == {"1", "2"}
    assert of_workers["snowsage_serve_model_info"] == of_workers["snowsage_serve_in_flight_requests"] == {"1", "2"}
    assert samples(service, "workers") == {"": 2}
    assert samples(service, "workers_unheard") == {"": 0}


def test_a_worker_that_does_not_answer_is_omitted_from_metrics_and_counted(service: RunningService) -> None:
    stopped = service.pids["2"]
    os.kill(stopped, signal.SIGSTOP)
    # Enough for one to reach the other worker; requests to the stopped one wait until it continues.
    with ThreadPoolExecutor(16) as callers:
        try:
            asked = [callers.submit(service.get, "/metrics") for _ in range(16)]
            told = next(as_completed(asked)).result().text
        finally:
            os.kill(stopped, signal.SIGCONT)
    assert "snowsage_serve_workers_unheard 1.0\n" in told
    assert 'worker="1"' in told
    assert 'worker="2"' not in told
    service.until(lambda: samples(service, "workers_unheard") == {"": 0})


@pytest.mark.slow
def test_a_killed_worker_is_replaced_while_the_other_answers(service: RunningService) -> None:
    killed = service.pids["1"]
    os.kill(killed, signal.SIGKILL)
    service.until(lambda: service.said("a worker ended"))
    assert service.said("a worker ended")[0].items() >= {"worker": "1", "pid": str(killed), "by": "SIGKILL"}.items()
    # The killed worker's socket is closed, so no request waits for the next worker.
    while service.pids["1"] == killed:
        assert service.post("/predict/churn", json=BATCH).status_code == 200
    assert alive(service.pids["1"])
    service.until(lambda: set(samples(service, "build_info")) == {"1", "2"})


def test_a_second_service_on_the_port_is_rejected(service: RunningService, tmp_path: Path) -> None:
    port = service.url.rpartition(":")[2]
    with running_service(tmp_path / "store", program=("-m", "app", "serve"), SNOWSAGE_SERVE_PORT=port) as second:
        assert second.joined() == 2
        assert second.lines[1].startswith(f"error: port {port} on 127.0.0.1 is in use; ")


def test_all_workers_switch_at_the_recorded_time_without_a_refresh(service: RunningService) -> None:
    with Callers(service, 6) as callers:
        service.until(lambda: len(callers.seen) > 20)
        # Longer than the interval at which each worker reads the record (SNOWSAGE_LIVE_POLL_S), as SNOWSAGE_SWITCH_LEAD_S is.
        moment = time.time() + 3.0
        service.store.put(version(2, live_from_s=moment))
        service.until(lambda: {answer.headers["x-snowsage-version"] for _, _, answer in callers.seen[-20:]} == {"2.0"})
    assert callers.broken == []
    assert {answer.status_code for _, _, answer in callers.seen} == {200}
    told = [(begun, ended, answer.headers["x-snowsage-version"]) for begun, ended, answer in callers.seen]
    assert {number for _, ended, number in told if ended < moment} == {"1.0"}
    assert {number for begun, _, number in told if begun >= moment} == {"2.0"}
    assert set(samples(service, "rows_total")) == {"1", "2"}


@pytest.mark.slow
def test_sigterm_under_load_fails_no_request(service: RunningService) -> None:
    pids = service.pids
    with Callers(service, 6) as callers:
        service.until(lambda: len(callers.seen) > 6)
        service.process.send_signal(signal.SIGTERM)
        service.until(lambda: callers.seen[-1][2].headers.get("connection") == "close")
        begun = len(callers.seen)
        service.until(lambda: len(callers.seen) > begun + 20 or callers.broken)
        assert service.get("/v2/health/ready").json()["reason"] == "the service is shutting down"
    assert callers.broken == []
    assert {answer.status_code for _, _, answer in callers.seen} == {200}
    assert service.joined() == -signal.SIGTERM
    assert not any(alive(pid) for pid in pids.values())
    with pytest.raises(httpx.ConnectError):
        service.get("/v2/health/live")


@pytest.mark.slow
def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    # Started by the command line without S3: they listen, and report that they are not ready.
    with running_service(tmp_path / "store", version(1), program=("-m", "app", "serve")) as service:
        assert service.get("/v2/health/live").json() == {"live": True}
        assert service.get("/v2/health/ready").status_code == 503
        assert {fields["worker"] for fields in service.said("the bucket cannot be listed")} == {"1", "2"}
        assert sum("SNOWSAGE_SERVE_PROT is not a setting" in line for line in service.lines) == 1
        service.process.kill()
        # They share the supervisor's standard error, which is closed when the last of them has ended.
        assert service.joined() == -signal.SIGKILL
        service.until(lambda: not any(alive(pid) for pid in service.pids.values()))
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", int(service.url.rpartition(":")[2])))
            free.listen()


@pytest.mark.slow
def test_the_service_ends_with_the_exit_code_of_workers_that_cannot_start(tmp_path: Path) -> None:
    with running_service(tmp_path / "store", program=(*PROGRAM, "--failing")) as service:
        assert service.joined() == 75
        assert (
            "error: no worker answers, and one failed to start 3 times in a row, the last time with exit code 75"
            in service.lines[-1]
        )
        ended = service.said("a worker ended")
        waits = [[float(one["again_in_s"]) for one in ended if one["worker"] == worker] for worker in ("1", "2")]
        assert [0.5, 1.0, 2.0] in waits


@pytest.mark.slow
def test_the_supervisor_survives_workers_that_repeatedly_die_together(tmp_path: Path) -> None:
    with running_service(tmp_path / "store", workers=12, program=(*PROGRAM, "--dying")) as service:
        service.until(lambda: len(service.said("a worker ended")) >= 36)
        assert service.end() == -signal.SIGTERM
        assert not any("Traceback" in line for line in service.lines)


@pytest.mark.slow
def test_a_folder_that_is_unsuitable_for_sockets_is_reported_in_one_sentence(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    with running_service(tmp_path / "store", program=("-m", "app", "serve"), TMPDIR=str(deep)) as service:
        assert service.joined() == 2
        assert "whose name is too long; set TMPDIR to a shorter one" in service.lines[-1]
    assert list(deep.iterdir()) == []


def test_invalid_settings_are_reported_once_and_start_no_worker(tmp_path: Path) -> None:
    with running_service(tmp_path / "store", program=("-m", "app", "serve"), SNOWSAGE_SECRETS="") as service:
        assert service.joined() == 2
        assert len(service.lines) == 2
        assert service.lines[1].startswith("error: the service needs at least one secret or API key")


@pytest.mark.slow
def test_a_second_signal_ends_the_drain_and_requests_in_progress_are_answered(tmp_path: Path) -> None:
    with running_service(tmp_path / "store", version(1), workers=1, SNOWSAGE_LAME_DUCK_S="600") as service:
        with Callers(service, 2) as callers:
            service.until(lambda: callers.seen)
            service.process.send_signal(signal.SIGTERM)
            service.until(lambda: callers.seen[-1][2].headers.get("connection") == "close")
            callers.leave()
            service.process.send_signal(signal.SIGTERM)
        assert callers.broken == []
        assert service.joined() == -signal.SIGTERM


@pytest.mark.slow
def test_without_port_balancing_all_workers_share_one_socket(tmp_path: Path) -> None:
    polls = {"SNOWSAGE_LIVE_POLL_S": "600"}
    with running_service(tmp_path / "store", version(1), program=(*PROGRAM, "--shared"), **polls) as service:
        assert {service.post("/predict/churn", json=BATCH).status_code for _ in range(10)} == {200}
        assert sum(samples(service, "rows_total").values()) == 10 * len(BATCH["data"])
        service.store.put(version(2))
        assert service.post("/models/churn/refresh").json()["version"] == "2.0"
        live = re.findall(
            r'^snowsage_serve_model_info.*worker="(\d)".*version="(.*?)"', service.get("/metrics").text, re.M
        )
        assert live == [("1", "2.0"), ("2", "2.0")], "a refreshed worker refreshes all"
        assert service.end(signal.SIGINT) == 0


@pytest.mark.parametrize("way", [pytest.param("--hanging", marks=pytest.mark.slow), "--stopped"])
def test_a_worker_that_gives_no_sign_of_life_is_replaced(tmp_path: Path, way: str) -> None:
    silence = {"SNOWSAGE_WORKER_SILENCE_S": "0.2"}
    with running_service(tmp_path / "store", workers=1, program=(*PROGRAM, way), **silence) as service:
        service.until(lambda: len(service.said("a worker listens")) >= 2)
        first, second = (fields["pid"] for fields in service.said("a worker listens")[:2])
        assert service.said("a worker hangs and is killed")[0]["pid"] == first != second
        assert service.said("a worker ended")[0].items() >= {"pid": first, "by": "SIGKILL"}.items()


@pytest.mark.slow
def test_a_stopped_worker_is_replaced_and_an_idle_one_is_not(tmp_path: Path) -> None:
    with running_service(tmp_path / "store", version(1), SNOWSAGE_WORKER_SILENCE_S="3") as service:
        before = service.pids
        os.kill(before["1"], signal.SIGSTOP)
        service.until(lambda: service.pids["1"] != before["1"])
        assert service.pids["2"] == before["2"]
        assert [fields["worker"] for fields in service.said("a worker hangs and is killed")] == ["1"]
        assert {service.post("/predict/churn", json=BATCH).status_code for _ in range(20)} == {200}
