"""Bodies and pipelined requests on a connection: the segmentation does not matter, and requests do not mix their bytes."""

from __future__ import annotations

import http.client
import json
import random
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.contract.serve.blocking_endpoint import BATCH, metric, port_of, until
from tests.contract.serve.load import head
from tests.contract.serve.service import Service
from tests.unit.serve.fakes import FakeEndpoint, live_version

#: Around the size of the first read of a connection, and the size of a read while no request wants more.
SIZES = (1, 16 * 1024, 128 * 1024)


def batch(rows: int, first: float) -> bytes:
    return json.dumps({"data": [[number, first + number, 2, 3] for number in range(rows)]}).encode()


def ask(body: bytes) -> bytes:
    return head("/predict/churn", len(body)) + body


@pytest.fixture
def connection(churn: Service) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port_of(churn)), timeout=20) as found:
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield found


def answers(connection: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """The next (status, body) pairs. Reads no further byte, because later reads would miss it."""
    found = []
    with connection.makefile("rb", buffering=0) as file:
        for _ in range(count):
            status = int(file.readline().split()[1])
            headers = http.client.parse_headers(file)  # type: ignore[arg-type]  # any binary file does
            wanted, body = int(headers["content-length"]), b""
            while len(body) < wanted:
                body += file.read(wanted - len(body))
            found.append((status, body))
    return found


def scores(service: Service, body: bytes) -> bytes:
    return service.post("/predict/churn", content=body).content


def send(connection: socket.socket, request: bytes, cuts: Sequence[int]) -> None:
    """Send ``request`` in pieces, with time to receive each alone."""
    places = [0, *sorted(cuts), len(request)]
    for begin, end in pairwise(places):
        connection.sendall(request[begin:end])
        time.sleep(0.002)


@pytest.mark.parametrize("rows", [0, 1, 300, 5000])
def test_a_body_may_arrive_in_any_pieces(churn: Service, connection: socket.socket, rows: int) -> None:
    body, chance = batch(rows, 0.5), random.Random(rows)
    expected = scores(churn, body)
    request = ask(body)
    start = request.index(b"\r\n\r\n") + 4
    around = [at for size in SIZES for at in (start + size - 1, start + size, size, size + 1) if at < len(request)]
    for cuts in ([], [start], [start - 1], around, [len(request) - 1], chance.sample(range(1, len(request)), 8)):
        send(connection, request, cuts)
        assert answers(connection, 1) == [(200, expected)], cuts


@pytest.mark.parametrize("rows", [(1, 3000, 1), (3000, 3000), (3000, 1, 3000), (1, 1, 1)])
def test_pipelined_requests_are_answered_in_order(
    churn: Service, connection: socket.socket, rows: tuple[int, ...]
) -> None:
    bodies = [batch(count, number) for number, count in enumerate(rows)]
    connection.sendall(b"".join(map(ask, bodies)))
    assert answers(connection, len(bodies)) == [(200, scores(churn, body)) for body in bodies]


def test_requests_rejected_during_their_bodies_leave_the_connection_usable(
    churn: Service, connection: socket.socket
) -> None:
    body = batch(3000, 0)
    wrong = body.replace(b"[[0,", b"[[7,", 1)
    unknown = head("/predict/unregistered", len(body)) + body
    large = head("/predict/churn", 600_000) + b" " * 600_000
    elsewhere = head("/nowhere", len(body)) + body
    connection.sendall(ask(wrong) + unknown + large + elsewhere + ask(body))
    found = answers(connection, 5)
    assert [status for status, _ in found] == [400, 404, 413, 404, 200]
    assert found[-1][1] == scores(churn, body)


def test_a_caller_that_disconnects_during_a_body_frees_its_slot(churn: Service, connection: socket.socket) -> None:
    connection.sendall(ask(batch(3000, 0))[:50_000])
    until(lambda: metric(churn, "admitted_requests") == 1)
    connection.close()
    until(lambda: metric(churn, "admitted_requests") == 0)
    assert churn.post("/predict/churn", json=BATCH).status_code == 200


@pytest.mark.parametrize("length", [20, 16_000, 400_000])
def test_requests_rejected_by_load_shedding_get_the_applications_error(full: Any, length: int) -> None:
    service, endpoint, waiting = full
    shed = 'shed_requests_total{model="churn",reason="queue"}'
    with socket.create_connection(("127.0.0.1", port_of(service)), timeout=20) as connection:
        said = []
        # Load shedding reads only names without escapes; the application rejects the others.
        for path in ("/predict/churn", "/predict/%63hurn", "/models/churn/predict", "/models/%63hurn/predict"):
            connection.sendall(head(path, length) + b" " * length)
            with connection.makefile("rb", buffering=0) as file:
                said.append((file.readline(), refusal(file)))
        assert said[0] == said[1]
        assert said[2] == said[3]
        assert said[0][0] == b"HTTP/1.1 429 Too Many Requests\r\n"
        assert (metric(service, shed), refused(service, "/predict/{model}")) == (4, 2)
        assert refused(service, "/models/{model}/predict") == 2
        endpoint.release.set()
        assert [answer.result().status_code for answer in waiting] == [200] * 4
        connection.sendall(ask(json.dumps(BATCH).encode()))
        assert answers(connection, 1)[0][0] == 200


def test_rejected_bodies_that_wait_leave_their_connections_usable(full: Any) -> None:
    service, *_ = full
    rejected = head("/predict/churn", 50_000) + b" " * 50_000
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port_of(service)), timeout=20))
            for _ in range(90)
        ]
        for connection in connections:  # more at a time than are received at once
            connection.sendall(rejected + rejected)
        assert [[status for status, _ in answers(each, 2)] for each in connections] == [[429, 429]] * 90


def test_a_small_response_is_sent_at_once(churn: Service, connection: socket.socket) -> None:
    for request in (ask(batch(1, 0)), head("/predict/unregistered", 2) + b"{}", ask(batch(2000, 0))):
        connection.sendall(request)
        found = connection.recv(1 << 20)
        length = int(found.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        assert len(found.partition(b"\r\n\r\n")[2]) == length


def test_a_full_service_still_answers_other_requests(full: Any) -> None:
    service, *_ = full
    assert service.client.post("/predict/churn", json=BATCH, headers={"x-snowsage-secret": "no"}).status_code == 401
    assert service.get("/v2/health/live").status_code == 200
    waits = service.client.post("/predict/churn", json=BATCH, headers={"expect": "100-continue"})
    assert waits.status_code == 429


def refusal(file: Any) -> tuple[dict[str, str], bytes]:
    headers = dict(http.client.parse_headers(file))
    del headers["date"]
    return headers, file.read(int(headers["content-length"]))


def refused(service: Service, route: str) -> float:
    return metric(service, f'requests_total{{code="429",model="churn",route="{route}"}}')


def test_rows_of_a_large_body_keep_their_order(churn: Service, connection: socket.socket) -> None:
    body = batch(5000, -2500)
    connection.sendall(ask(body))
    [(status, answer)] = answers(connection, 1)
    data = json.loads(answer)["data"]
    assert (status, [row for row, _ in data]) == (200, list(range(5000)))
    alone = [json.loads(scores(churn, json.dumps({"data": [[0, -2500 + row, 2, 3]]}).encode())) for row in (0, 4999)]
    assert [data[0][1], data[-1][1]] == [answer["data"][0][1] for answer in alone]
    assert len(np.unique([score for _, score in data])) > 1


OFFER = ("Connection: Upgrade", "Upgrade: h2c")


@pytest.mark.parametrize("rows", [1, 300, 5000])
def test_an_upgrade_header_does_not_lose_the_body(churn: Service, connection: socket.socket, rows: int) -> None:
    body = batch(rows, 0.5)
    request = head("/predict/churn", len(body), *OFFER) + body
    middle = request.index(b"\r\n\r\n") + 4 + len(body) // 2
    for cuts in ([], [middle]):
        send(connection, request + ask(body), cuts)
        assert answers(connection, 2) == [(200, scores(churn, body))] * 2


@pytest.mark.parametrize("before", [b"", ask(batch(3000, 0))], ids=["first", "second"])
def test_an_upgrade_header_before_an_ambiguous_body_is_rejected(connection: socket.socket, before: bytes) -> None:
    offer = head("/predict/churn", 0, *OFFER).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    connection.sendall(before + offer + b"5\r\n{    \r\n0\r\n\r\n")
    seen = b""
    while piece := connection.recv(65536):
        seen += piece
    assert seen.count(b"HTTP/1.1 400 Bad Request\r\n") == 1
    assert seen.endswith(b"send it without the header Upgrade")


@pytest.mark.parametrize("sent", [b"", b"POST /predict/churn HTTP/1.1\r\nX: "], ids=["nothing", "partial-headers"])
def test_incomplete_headers_time_out_after_the_keep_alive_timeout(start: Any, sent: bytes) -> None:
    service = start(Service(FakeEndpoint(), live_version()))
    service.server.config.timeout_keep_alive = 0.1
    with socket.create_connection(("127.0.0.1", port_of(service)), timeout=20) as connection:
        connection.sendall(sent)
        assert connection.recv(100) == b""
