"""Access over HTTP: keys and scopes, the limit on a query's rows, and no secrets in responses, logs, metrics and traces."""

from __future__ import annotations

import base64
import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app import log
from app.errors import CallerError, PermanentError, TransientError
from app.settings import ServeSettings
from tests.contract.serve.service import Service, answering, fast_clock
from tests.unit.serve.fakes import BUCKET, SECRET, FakeEndpoint, live_version

BATCH = {"data": [[0, 1, 2, 3]]}
KEYS = {"shop": "predict", "ops": "run", "board": "read", "root": "predict+run+read"}
CLIENT = httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
Start = Callable[[Service], Service]


def key_of(name: str) -> str:
    return f"snowsage_canary-key-of-{name}"


def lines() -> tuple[str, ...]:
    return tuple(
        f"{name}:{scopes}:{hashlib.sha256(key_of(name).encode()).hexdigest()}" for name, scopes in KEYS.items()
    )


def ask(service: Service, method: str, path: str, name: str | None, **request: Any) -> httpx.Response:
    headers = {**request.pop("headers", {}), **({} if name is None else {"authorization": f"Bearer {key_of(name)}"})}
    return CLIENT.request(method, f"{service.client.base_url}{path}", headers=headers, **({"json": BATCH} | request))


@pytest.fixture(scope="module")
def keyed() -> Any:
    """A service with one key for each scope."""
    with answering(Service(FakeEndpoint(), live_version(), api_keys=lines())) as service:
        wait_until_ready(service)
        yield service


def wait_until_ready(service: Service) -> None:
    for _ in range(2000):
        if service.get("/v2/health/ready").status_code == 200:
            return
        time.sleep(0.005)
    raise AssertionError("the service does not become ready")


@pytest.mark.parametrize(
    ("method", "path", "scope", "status"),
    [
        ("POST", "/predict/churn", "predict", 200),
        ("GET", "/predict/churn", "predict", 400),
        ("POST", "/models/churn/predict", "predict", 400),
        ("POST", "/models/churn/refresh", "run", 200),
        ("POST", "/v2/models/churn/infer", "predict", 400),
        ("GET", "/v2/models/churn", "read", 200),
        ("POST", "/v2/repository/index", "read", 200),
        ("GET", "/metrics", "read", 200),
        ("GET", "/v2/health/ready", "read", 200),
        ("GET", "/openapi.json", "read", 200),
        ("GET", "/nowhere", "read", 404),
        ("POST", "/nowhere", "run", 404),
    ],
)
def test_each_path_requires_its_scope(keyed: Service, method: str, path: str, scope: str, status: int) -> None:
    for name, scopes in KEYS.items():
        answer = ask(keyed, method, path, name)
        if scope in scopes:
            assert answer.status_code == status
        else:
            assert answer.status_code == 403
            assert (
                answer.headers["www-authenticate"]
                == f'Bearer realm="snowsage", error="insufficient_scope", scope="{scope}"'
            )
            short = path.startswith(("/predict/", "/v2/"))
            assert f"scope {scope}" in answer.json()["error" if short else "detail"]
    answer = ask(keyed, method, path, None)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="snowsage"')
    assert keyed.client.request(method, path, json=BATCH).status_code == status


def test_a_key_is_also_accepted_as_x_api_key(keyed: Service) -> None:
    answer = ask(keyed, "POST", "/predict/churn", None, headers={"X-Api-Key": key_of("shop")})
    assert answer.status_code == 200


def test_every_response_has_security_headers_and_allows_no_origin(keyed: Service) -> None:
    origin = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    for method, path, name in (
        ("GET", "/v2/health/live", None),
        ("OPTIONS", "/predict/churn", None),
        ("OPTIONS", "/predict/churn", "root"),
        ("POST", "/predict/churn", "shop"),
        ("GET", "/docs", "board"),
    ):
        answer = ask(keyed, method, path, name, headers=origin)
        assert not [header for header in answer.headers if header.startswith("access-control")]
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ")
        assert ("script-src 'self'" in policy) == (path == "/docs")
        assert "http" not in policy, "nothing comes from another host"


def test_open_paths_need_no_credential(start: Start) -> None:
    service = start(Service(FakeEndpoint(), live_version(), open_paths=("/v2/health/ready", "/openapi.json")))
    wait_until_ready(service)
    paths = ("/v2/health/live", "/v2/health/ready", "/docs", "/openapi.json", "/metrics")
    assert [ask(service, "GET", path, None).status_code for path in paths] == [200, 200, 200, 200, 401]
    assert '<form id="credential" hidden' in ask(service, "GET", "/docs", None).text
    with pytest.raises(ValueError, match="/v2/health/ready"):
        ServeSettings(bucket=BUCKET, secrets=("s",), open_paths="/metrics")  # type: ignore[arg-type]


def test_a_key_can_be_revoked_while_the_service_runs(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("\n".join(lines()))
    service = start(Service(FakeEndpoint(), live_version(), clock=fast_clock, api_keys_file=path))
    assert ask(service, "POST", "/predict/churn", "shop").status_code == 200
    path.write_text("\n".join(lines()[1:]))
    assert ask(service, "POST", "/predict/churn", "shop").status_code == 401
    assert ask(service, "GET", "/metrics", "board").status_code == 200


def test_a_query_beyond_its_row_limit_is_rejected_and_others_continue(start: Start) -> None:
    service = start(Service(FakeEndpoint(), live_version(), max_query_rows=5))
    two = {"data": [[0, 1, 2, 3], [1, 1, 2, 3]]}

    def status(query: str) -> int:
        return service.post(
            "/predict/churn", json=two, headers={"sf-external-function-current-query-id": query}
        ).status_code

    assert [status(query) for query in ("q1", "q1", "q1", "q2", "q1")] == [200, 200, 400, 200, 400]
    answer = service.post("/predict/churn", json=two, headers={"sf-external-function-current-query-id": "q1"})
    assert "more than 5 rows to score" in answer.json()["error"]


def test_metrics_count_callers_bytes_and_decodes_and_describe_the_build(start: Start) -> None:
    service = start(Service(FakeEndpoint(), live_version(), api_keys=lines()))
    body = b'{"data":[[0,1,2,3]]}'
    reply = ask(service, "POST", "/predict/churn", "shop", json=None, content=body)
    ask(
        service,
        "POST",
        "/predict/churn",
        "shop",
        json={"data": [[0, {"SPENT": 1, "ORDERS": 2, "VISITS": 3}], [1, {"VISITS": 3, "SPENT": 1, "ORDERS": 2}]]},
    )
    ask(service, "POST", "/predict/churn", "board")
    ask(service, "POST", "/predict/churn", None)
    found = service.get("/metrics").text
    for line in (
        'snowsage_serve_caller_requests_total{caller="shop",code="200"} 2.0',
        'snowsage_serve_caller_requests_total{caller="board",code="403"} 1.0',
        'snowsage_serve_caller_requests_total{caller="",code="401"} 1.0',
        'snowsage_serve_caller_rows_total{caller="shop"} 3.0',
        'snowsage_serve_decodes_total{decoder="compiled",model="churn"} 1.0',
        'snowsage_serve_decodes_total{decoder="general",model="churn"} 1.0',
        "snowsage_serve_in_flight_requests 1.0",
    ):
        assert line in found.splitlines()
    sizes = {
        name: float(found.split(f'snowsage_serve_{name}_body_bytes_total{{model="churn"}} ')[1].split("\n")[0])
        for name in ("request", "response")
    }
    assert sizes["request"] > len(body)
    assert sizes["response"] > len(reply.content)
    assert "snowsage_serve_build_info{" in found


def test_the_log_line_contains_user_caller_and_trace(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="app")
    service = start(Service(FakeEndpoint(), live_version(), api_keys=lines()))
    trace = "0af7651916cd43dd8448eb211c80319c"
    for headers in (
        {"sf-context-current-user": "ANNA", "traceparent": f"00-{trace}-b7ad6b7169203331-01"},
        {
            "sf-context-current-user": "NNA X",
            "sf-context-current-user-base64": base64.b64encode("Änna@x evil=1\n".encode()).decode(),
            "traceparent": "nonsense evil=1",
        },
        {"sf-context-current-user": "ANNA", "sf-context-current-user-base64": "%%%"},
    ):
        assert ask(service, "POST", "/predict/churn", "shop", headers=headers).status_code == 200
    fields = [record.fields for record in caplog.records if record.getMessage() == "batch"]  # type: ignore[attr-defined]
    assert [(line["user"], line["caller"], line["trace_id"]) for line in fields] == [
        ("ANNA", "shop", trace),
        ("Änna@x?evil?1?", "shop", ""),
        ("ANNA", "shop", ""),
    ]


def test_log_sampling_is_by_query_and_keeps_all_failures(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="app")
    service = start(Service(FakeEndpoint(), live_version(), log_share=0.5))
    queries = [f"q{number}" for number in range(20)]
    for query in queries * 2:
        service.post("/predict/churn", json=BATCH, headers={"sf-external-function-current-query-id": query})
    service.post("/predict/churn", json={"data": [[0]]}, headers={"sf-external-function-current-query-id": "bad"})
    fields = [record.fields for record in caplog.records if record.getMessage() == "batch"]  # type: ignore[attr-defined]
    counted = {query: [line["query_id"] for line in fields].count(query) for query in queries}
    assert set(counted.values()) == {0, 2}
    assert fields[-1]["query_id"] == "bad"


PRESENTED = "canary-presented-credential"
VALUE = "31337.125"


@pytest.mark.parametrize(
    "failure",
    [None, CallerError("no"), TransientError("busy"), PermanentError("broken"), RuntimeError(f"{VALUE} {SECRET}")],
    ids=lambda failure: type(failure).__name__,
)
def test_no_error_discloses_secrets_or_values(
    start: Start,
    caplog: pytest.LogCaptureFixture,
    failure: Exception | None,
    tmp_path: Path,
) -> None:
    caplog.set_level(logging.DEBUG)
    exporter = InMemorySpanExporter()
    keys = tmp_path / "keys"
    keys.write_text("\n".join(lines()))

    def answer(endpoint: str, *_: object) -> bytes:
        if failure:
            raise failure
        return b"not npy at all"

    service = Service(
        FakeEndpoint(answer),
        live_version(),
        exporter=exporter,
        clock=fast_clock,
        api_keys_file=keys,
        capture_share=1.0,
        max_query_rows=1,
    )
    seen: list[str] = []
    credentials: list[dict[str, str]] = [
        {"x-snowsage-secret": SECRET},
        {"authorization": f"Bearer {key_of('root')}"},
        {"x-api-key": key_of("shop")},
        {"x-snowsage-secret": PRESENTED},
        {"authorization": f"Bearer {PRESENTED}"},
        {"x-api-key": PRESENTED, "authorization": f"Basic {PRESENTED}"},
        {},
    ]
    bodies: list[bytes] = [
        f'{{"data":[[0,{VALUE},2,3]]}}'.encode(),
        f'{{"data":[[0,{VALUE},2,3],[1,{VALUE},2,3]]}}'.encode(),
        f'{{"data":[[0,"{VALUE}",2,"{VALUE}"]]}}'.encode(),
        f'{{"data":[[0,{VALUE}]]}}'.encode(),
        f'{{"rows":[{{"SPENT":"{VALUE}","ORDERS":2,"VISITS":3}}]}}'.encode(),
        f"{VALUE}{{".encode(),
        b"\x1f\x8b" + VALUE.encode(),
    ]
    context = {"sf-external-function-current-query-id": "q1", "traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}

    def send(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> None:
        reply = CLIENT.request(method, f"{service.client.base_url}{path}", content=body, headers={**context, **headers})
        seen.extend((reply.text, str(reply.headers)))

    with answering(service):
        for headers in credentials:
            for path in ("/predict/churn", "/models/churn/predict", "/predict/unregistered"):
                for body in bodies:
                    send("POST", path, headers, body)
            for path in ("/models/churn/refresh", "/nowhere"):
                send("POST", path, headers, bodies[0])
            for path in ("/metrics", "/openapi.json", "/docs", "/v2/health/ready", "/predict/churn"):
                send("GET", path, headers)
        keys.write_text(key_of("root"))  # a key instead of a line of the file
        send("GET", "/metrics", credentials[1])
        assert any(record.getMessage() == "the API keys stay as they were" for record in caplog.records)
    assert len(exporter.get_finished_spans()) > 20
    log.event(logging.getLogger("app"), logging.INFO, "settings", all=service.settings)
    formatter = log._JsonFormatter()
    seen += [formatter.format(record) for record in caplog.records]
    seen += [str(vars(record)) for record in caplog.records]
    seen += [span.to_json() for span in exporter.get_finished_spans()]
    seen += [repr(service.settings), repr(vars(service.app.user_middleware[0])), str(vars(service.app.state))]
    everything = "\n".join(seen)
    assert len(caplog.records) > 50
    for secret in (SECRET, PRESENTED, VALUE, *(key_of(name) for name in KEYS)):
        assert secret not in everything
