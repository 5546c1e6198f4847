"""Malformed HTTP on a raw socket: rejected or closed, no smuggled request is answered, and the service stays usable."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.contract.serve.raw_http import (
    BODY,
    CREDENTIAL,
    HOST,
    all_within,
    answer_to_valid_batch,
    chunked,
    exchange,
    get,
    metric,
    open_to,
    post,
    send,
    until_closed,
)
from tests.contract.serve.service import Service

SIZE = len(BODY)
LENGTH = f"Content-Length: {SIZE}"
CHUNKS = "Transfer-Encoding: chunked"
#: A smuggled request, hidden behind another one. It must never be answered.
HIDDEN = get("/metrics")


@pytest.fixture(autouse=True)
def stays_usable(churn: Service) -> Iterator[None]:
    """After each test the service still answers, and no request holds a slot."""
    yield
    assert answer_to_valid_batch(churn).status_code == 200
    deadline = time.monotonic() + 60
    while (
        metric(churn, "in_flight_requests") > 1
        or metric(churn, "admitted_requests")
        or metric(churn, "queued_requests")
    ):
        assert time.monotonic() < deadline
        time.sleep(0.005)


BROKEN_CHUNKS = {
    "size-is-no-number": post(CHUNKS) + f"\r\nzz\r\n{BODY}\r\n0\r\n\r\n",
    "size-is-negative": post(CHUNKS) + f"\r\n-{SIZE:x}\r\n{BODY}\r\n0\r\n\r\n",
    "size-with-0x": post(CHUNKS) + f"\r\n0x{SIZE:x}\r\n{BODY}\r\n0\r\n\r\n",
    "size-is-missing": post(CHUNKS) + f"\r\n\r\n{BODY}\r\n0\r\n\r\n",
    "size-beyond-64-bits": post(CHUNKS) + f"\r\n1{0:016x}\r\n{BODY}\r\n0\r\n\r\n",
    "size-too-small": post(CHUNKS) + f"\r\n{SIZE - 2:x}\r\n{BODY}\r\n0\r\n\r\n",
    "no-end-of-line-after-a-chunk": post(CHUNKS) + f"\r\n{SIZE:x}\r\n{BODY}0\r\n\r\n",
    "bare-line-feeds": post(CHUNKS) + f"\r\n{SIZE:x}\n{BODY}\n0\n\n",
}  # fmt: skip

WRONG_LENGTHS = {
    "negative": post("Content-Length: -1"),
    "with-a-sign": post(f"Content-Length: +{SIZE}"),
    "hexadecimal": post("Content-Length: 0x14"),
    "a-word": post("Content-Length: many"),
    "empty": post("Content-Length: "),
    "two-numbers": post(f"Content-Length: {SIZE} 1"),
    "a-list": post(f"Content-Length: {SIZE}, {SIZE + 1}"),
    "beyond-64-bits": post("Content-Length: 99999999999999999999999"),
    "two-different-lengths": post(LENGTH, f"Content-Length: {SIZE + 1}"),
    "a-space-before-the-colon": post(f"Content-Length : {SIZE}"),
}

SMUGGLING = {
    "length-and-chunks": post("Content-Length: 5", CHUNKS) + "\r\n0\r\n\r\n",
    "chunks-and-length": post(CHUNKS, "Content-Length: 4") + f"\r\n{SIZE:x}\r\n",
    "two-codings": post(CHUNKS, "Transfer-Encoding: identity") + "\r\n0\r\n\r\n",
    "chunked-twice": post("Transfer-Encoding: chunked, chunked") + "\r\n0\r\n\r\n",
    "chunked-is-not-the-last": post("Transfer-Encoding: chunked, gzip") + "\r\n0\r\n\r\n",
    "nearly-chunked": post("Transfer-Encoding: xchunked") + "\r\n0\r\n\r\n",
    "identity": post("Transfer-Encoding: identity") + "\r\n",
    "a-space-before-the-colon": post("Transfer-Encoding : chunked") + "\r\n0\r\n\r\n",
    "a-vertical-tab": post("Transfer-Encoding: \x0bchunked") + "\r\n0\r\n\r\n",
    "on-a-folded-line": post("Transfer-Encoding:", " chunked") + "\r\n0\r\n\r\n",
    "after-a-bare-line-feed": post("X-A: a\nTransfer-Encoding: chunked") + "\r\n0\r\n\r\n",
    "after-a-bare-carriage-return": post("X-A: a\rTransfer-Encoding: chunked") + "\r\n0\r\n\r\n",
    "after-a-nul": post("X-A: a\0Transfer-Encoding: chunked", LENGTH) + f"\r\n{BODY}",
    "a-line-without-a-colon": post(CHUNKS, "Content-Length") + "\r\n0\r\n\r\n",
    "a-header-before-the-first": f"POST /predict/churn HTTP/1.1\r\n {CHUNKS}\r\n{HOST}{CREDENTIAL}\r\n0\r\n\r\n",
}

NO_HTTP = {
    "tls": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "a" * 500,
    "http-2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an-unknown-version": f"GET /v2/health/live HTTP/3.0\r\n{HOST}\r\n",
    "a-method-with-odd-characters": f"G@T /v2/health/live HTTP/1.1\r\n{HOST}\r\n",
    "a-tunnel": f"CONNECT elsewhere:443 HTTP/1.1\r\n{HOST}\r\n",
    "a-path-without-a-slash": f"GET v2/health/live HTTP/1.1\r\n{HOST}\r\n",
    "bytes-beyond-ascii-in-the-path": f"GET /predict/\xe9 HTTP/1.1\r\n{HOST}\r\n",
    "endless-letters": "G" * 1_000_000,
}


def refused(service: Service, request: str) -> None:
    """Check for status 400 or no response, and a closed connection on which nothing further is answered."""
    assert [answer.status for answer in until_closed(service, request)] in ([400], [])


@pytest.mark.parametrize("request_", BROKEN_CHUNKS.values(), ids=BROKEN_CHUNKS)
def test_broken_chunks_are_rejected(churn: Service, request_: str) -> None:
    refused(churn, request_ + HIDDEN)


@pytest.mark.parametrize("head", WRONG_LENGTHS.values(), ids=WRONG_LENGTHS)
def test_wrong_lengths_are_rejected(churn: Service, head: str) -> None:
    refused(churn, f"{head}\r\n{BODY}{HIDDEN}")


@pytest.mark.parametrize("request_", SMUGGLING.values(), ids=SMUGGLING)
def test_framing_that_another_server_may_read_differently_is_rejected(churn: Service, request_: str) -> None:
    refused(churn, request_ + HIDDEN)


@pytest.mark.parametrize("request_", NO_HTTP.values(), ids=NO_HTTP)
def test_other_protocols_are_rejected(churn: Service, request_: str) -> None:
    refused(churn, request_)


def test_http_1_0_with_chunks_gets_at_most_one_response(churn: Service) -> None:
    request = post(CHUNKS).replace("HTTP/1.1", "HTTP/1.0") + "\r\n" + chunked(BODY) + "\r\n" + HIDDEN
    assert len(until_closed(churn, request)) <= 1


def test_nothing_is_answered_after_a_request_that_closes_the_connection(churn: Service) -> None:
    found = until_closed(churn, post("Connection: close", LENGTH) + f"\r\n{BODY}{HIDDEN}")
    assert [answer.status for answer in found] == [200]


CUT = {
    "partial-body": post(f"Content-Length: {SIZE + 9}") + f"\r\n{BODY}",
    "no-body": post(LENGTH) + "\r\n",
    "partial-chunk": post(CHUNKS) + f"\r\n{SIZE:x}\r\n{BODY[:9]}",
    "no-last-chunk": post(CHUNKS) + f"\r\n{SIZE:x}\r\n{BODY}\r\n",
    "partial-headers": post(LENGTH),
    "partial-line": "POST /predict/ch",
    "nothing": "",
}


@pytest.mark.parametrize("request_", CUT.values(), ids=CUT)
def test_truncated_requests_are_not_scored(churn: Service, request_: str) -> None:
    scored = metric(churn, "rows_total")
    assert [answer.status for answer in until_closed(churn, request_, cut=True)] in ([400], [])
    assert metric(churn, "rows_total") == scored


@pytest.mark.parametrize("request_", CUT.values(), ids=CUT)
def test_disconnected_callers_hold_no_slots(churn: Service, request_: str) -> None:
    for _ in range(20):
        with open_to(churn) as connection:
            send(connection, request_)


PATHS = {
    "scored": (post(f"Content-Length: {len(HIDDEN)}") + "\r\n", 400),
    "unauthorized": (post(f"Content-Length: {len(HIDDEN)}", credential="") + "\r\n", 401),
    "not-found": (post(f"Content-Length: {len(HIDDEN)}", path="/nothing") + "\r\n", 404),
    "wrong-method": (post(f"Content-Length: {len(HIDDEN)}", path="/metrics") + "\r\n", 405),
    "a-get": (get("/v2/health/live")[:-2] + f"Content-Length: {len(HIDDEN)}\r\n\r\n", 200),
}


@pytest.mark.parametrize(("head", "status"), PATHS.values(), ids=PATHS)
def test_an_unread_body_is_not_parsed_as_a_request(churn: Service, head: str, status: int) -> None:
    """The request inside the body is not answered; the one after it is."""
    found = exchange(churn, head + HIDDEN + get("/v2/health/live"), answers=2)
    assert [answer.status for answer in found] == [status, 200]
    assert found[1].body == b'{"live":true}'


def bomb(*lines: str) -> str:
    return post(LENGTH, *lines) + f"\r\n{BODY}"


BOMBS: dict[str, Callable[[], str]] = {
    "many": lambda: bomb(*(f"X-{number}: y" for number in range(100_000))),
    "a-long-value": lambda: bomb("X-A: " + "y" * 2_000_000),
    "a-long-name": lambda: bomb("y" * 2_000_000 + ": a"),
}


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS)
def test_oversized_headers_are_rejected(churn: Service, make: Callable[[], str]) -> None:
    statuses = [
        answer.status for answer in until_closed(churn, make() + get("/metrics")[:-2] + "Connection: close\r\n\r\n")
    ]
    assert statuses in ([400], [413], [431], [])


@pytest.mark.parametrize("size", [66_000, 70_000, 79_000])
@pytest.mark.parametrize("fill", [lambda size: [f"X-A: {'a' * size}"], lambda size: ["X-A: b"] * (size // 8)])
def test_a_head_beyond_the_bound_is_rejected_before_its_request_is_started(
    churn: Service, fill: Callable[[int], list[str]], size: int
) -> None:
    before = metric(churn, "requests_total")
    answers = until_closed(churn, post(LENGTH, *fill(size)) + f"\r\n{BODY}")
    assert [answer.status for answer in answers] in ([431], [])
    assert metric(churn, "requests_total") == before + 1  # the request for the metrics


OVERSIZED = {
    "trailers": post(CHUNKS) + "\r\n" + chunked(BODY) + "X-A: b\r\n" * 200_000 + "\r\n",
    "a-chunks-extension": post(CHUNKS) + f"\r\n{SIZE:x};{'a' * 2_000_000}\r\n{BODY}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("request_", OVERSIZED.values(), ids=OVERSIZED)
def test_oversized_trailers_and_chunk_extensions_are_skipped_or_rejected(churn: Service, request_: str) -> None:
    assert exchange(churn, request_)[0].status in (200, 400, 413, 431)


def test_a_too_long_path_is_rejected(churn: Service) -> None:
    statuses = [answer.status for answer in until_closed(churn, get("/" + "y" * 2_000_000))]
    assert statuses in ([400], [414], [431], [])


def test_headers_within_the_limits_of_gateways_are_accepted(churn: Service) -> None:
    lines = [f"X-{number}: {'y' * 90}" for number in range(100)]
    assert [answer.status for answer in exchange(churn, bomb(*lines))] == [200]


def test_many_small_chunks_are_accepted_within_the_body_limit(churn: Service) -> None:
    request = post(CHUNKS) + "\r\n" + chunked(*" " * 50_000, BODY) + "\r\n"
    assert [answer.status for answer in exchange(churn, request)] == [200]
    request = post(CHUNKS) + "\r\n" + chunked(*[" " * 1000] * 501, BODY) + "\r\n"
    assert [answer.status for answer in exchange(churn, request)] == [413]


WELL_FORMED = {
    "length": post(LENGTH) + f"\r\n{BODY}",
    "chunks": post(CHUNKS) + "\r\n" + chunked(BODY[:3], BODY[3:]) + "\r\n",
    "a-byte-a-chunk": post(CHUNKS) + "\r\n" + chunked(*BODY) + "\r\n",
    "chunks-with-extensions": post(CHUNKS) + f"\r\n{SIZE:x};name=value\r\n{BODY}\r\n0\r\n\r\n",
    "chunks-with-trailers": post(CHUNKS) + "\r\n" + chunked(BODY) + "X-Checksum: 7\r\n\r\n",
    "no-body": post("Content-Length: 0") + "\r\n",
    "neither-length-nor-chunks": post() + "\r\n",
    "expect-100-continue": post("Expect: 100-continue", LENGTH) + f"\r\n{BODY}",
    "leading-empty-lines": "\r\n\r\n" + post(LENGTH) + f"\r\n{BODY}",
    "an-absolute-address": f"GET http://x/v2/health/live HTTP/1.1\r\n{HOST}\r\n",
}
NO_BODY = ("no-body", "neither-length-nor-chunks")


@pytest.mark.parametrize("name", WELL_FORMED)
def test_well_formed_requests_may_arrive_in_any_pieces(churn: Service, name: str) -> None:
    request = WELL_FORMED[name]
    whole = exchange(churn, request + get("/v2/health/live"), answers=2)
    in_bytes = exchange(churn, [*request, get("/v2/health/live")], answers=2)
    for found in (whole, in_bytes):
        final = [answer.status for answer in found]
        assert final == [400 if name in NO_BODY else 200, 200]
        assert found[1].body == b'{"live":true}'


def test_many_requests_in_one_segment_are_answered_in_order(churn: Service) -> None:
    batches = [f'{{"data":[[0,{number},2,3]]}}' for number in range(50)]
    alone = [churn.post("/predict/churn", content=batch).content for batch in batches]
    request = "".join(post(f"Content-Length: {len(batch)}") + f"\r\n{batch}" for batch in batches)
    assert [answer.body for answer in exchange(churn, request, answers=50)] == alone


LAST = get("/v2/health/live")[:-2] + "Connection: close\r\n\r\n"
SEEDS = [*WELL_FORMED.values(), *CUT.values(), *SMUGGLING.values(), *BROKEN_CHUNKS.values(), HIDDEN]
SPLINTERS = [
    "\r",
    "\n",
    "\r\n",
    "\r\n\r\n",
    " ",
    ":",
    ",",
    "\0",
    "0",
    "-1",
    "\xff",
    CHUNKS,
    LENGTH,
    f"{LENGTH}\r\n",
    HIDDEN,
    "HTTP/1.0",
    "%",
    "Connection: Upgrade\r\nUpgrade: h2c\r\n",
    "Expect: 100-continue\r\n",
]


def damaged(chance: random.Random) -> str:
    """A request with parts removed or repeated, or with inserted bytes that have a meaning in HTTP."""
    request = chance.choice(SEEDS)
    for _ in range(chance.randint(1, 4)):
        begin, end = sorted(chance.choices(range(len(request) + 1), k=2))
        piece = request[begin : min(end, begin + 40)]
        put = chance.choice(["", piece * 2, chance.choice(SPLINTERS), piece[::-1]])
        request = request[:begin] + put + request[begin + len(piece) :]
    return request


def test_randomly_damaged_requests_are_never_a_5xx(churn: Service, long: bool) -> None:
    chance = random.Random(None if long else 7)  # a fixed seed, except in long runs
    statuses: Counter[int] = Counter()
    for _ in range(20_000 if long else 1000):
        request = damaged(chance)
        # Most are answered and closed in a millisecond; the others wait for the rest of a body that does not come.
        found = [answer.status for answer in all_within(churn, request + LAST, seconds=0.1)]
        assert not [status for status in found if status >= 500], request
        statuses.update(found)
    assert statuses.keys() >= {200, 400}


def test_a_trailer_is_not_a_header(churn: Service) -> None:
    """A gateway that removes a header from requests may not check trailers."""
    request = post(CHUNKS, credential="") + "\r\n" + chunked(BODY) + CREDENTIAL + "\r\n"
    assert [answer.status for answer in exchange(churn, request)] == [401]


def test_an_upgrade_header_is_ignored(churn: Service) -> None:
    """Java's HTTP client and ``curl --http2`` offer HTTP/2 with the first request."""
    offer = (
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA",
    )
    assert [answer.status for answer in exchange(churn, post(*offer, LENGTH) + f"\r\n{BODY}")] == [200]
