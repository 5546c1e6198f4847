"""The service over HTTP: authentication, error responses, health, metrics, logs and the OpenAPI description."""

from __future__ import annotations

import gzip
import logging
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from app.errors import CallerError, PermanentError, TransientError
from app.serve.application import create_app
from app.serve.http.problem_types import TYPES
from app.serve.process.server import serve
from app.settings import ServeSettings
from tests.contract.serve.service import Service, fast_clock
from tests.unit.serve.fakes import BUCKET, SECRET, FakeEndpoint, MemoryStore, live_version

BATCH = {"data": [[0, 1, 2, 3]]}
NAMED = {"rows": [{"SPENT": 1, "ORDERS": 2, "VISITS": 3}]}
PROBLEM = "application/problem+json"


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET + " x", SECRET[:-1], f"retired,{SECRET}"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/predict/churn"),
        ("POST", "/models/churn/predict"),
        ("POST", "/models/churn/refresh"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
        ("GET", "/v2/health/live/"),
        ("POST", "//v2/health/live"),
        ("GET", "/v2/health/ready"),
        ("GET", "/docs/"),
        ("GET", "/openapi.json"),
    ],
)
def test_requests_without_the_secret_are_401(churn: Service, secret: str | None, method: str, path: str) -> None:
    headers = {} if secret is None else {"x-snowsage-secret": secret}
    answer = httpx.request(method, f"{churn.client.base_url}{path}", headers=headers, json=BATCH, trust_env=False)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="snowsage"'
    assert SECRET not in answer.text
    assert_guarded(answer)


def test_every_valid_secret_is_accepted(churn: Service) -> None:
    for secret in ("retired", SECRET):
        assert churn.post("/predict/churn", json=BATCH, headers={"x-snowsage-secret": secret}).status_code == 200


@pytest.mark.parametrize("path", ["/v2/health/live", "/docs", "/docs/start.js"])
def test_only_liveness_and_the_empty_page_need_no_credential(churn: Service, path: str) -> None:
    answer = httpx.get(f"{churn.client.base_url}{path}", trust_env=False)
    assert answer.status_code == 200
    assert_guarded(answer)


def test_the_page_for_browsers_loads_all_that_it_names_from_the_service(churn: Service) -> None:
    page = httpx.get(f"{churn.client.base_url}/docs", trust_env=False).text
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    icon, *files = named
    assert icon == "data:,"  # otherwise a browser asks for /favicon.ico
    assert files == ["docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/start.js"]
    for path in files:
        answer = httpx.get(f"{churn.client.base_url}/{path}", trust_env=False)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/css" if path.endswith(".css") else "text/javascript")
        assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "<script>" not in page, "the policy allows no inline script"
    script = httpx.get(f"{churn.client.base_url}/docs/start.js", trust_env=False).text
    assert '"x-snowsage-secret"' in script
    assert "https://" not in page + script
    assert httpx.get(f"{churn.client.base_url}/docs/other.js", trust_env=False).status_code == 401
    assert '<form id="credential" style' in page, "nothing is asked for without a credential"


def test_the_root_leads_to_the_page(churn: Service) -> None:
    answer = httpx.get(f"{churn.client.base_url}/", trust_env=False)
    assert (answer.status_code, answer.headers["location"]) == (
        307,
        "docs",
    )  # relative: behind a gateway, a stage precedes it
    assert_guarded(answer)


def assert_guarded(answer: httpx.Response) -> None:
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "churn", b'{"data":[[0,1,2]]}', 400),
        ("POST", "churn", b"{", 400),
        ("POST", "churn", b"", 400),
        ("POST", "churn", b'{"data":[[0,"1",2,3]]}', 400),
        ("POST", "churn", b'{"data":[[0,1,2,1e300]]}', 400),
        ("POST", "unregistered", b'{"data":[]}', 404),
        ("POST", "..%2F..", b'{"data":[]}', 404),
        ("GET", "churn", b"", 400),
        ("PUT", "churn", b"", 405),
        ("POST", "churn", b" " * 500_001, 413),
        ("POST", "churn", gzip.compress(b" " * 500_001), 413),
    ],
)
def test_errors_for_snowflake_are_short_json(churn: Service, method: str, path: str, body: bytes, status: int) -> None:
    answer = churn.client.request(method, f"/predict/{path}", content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert len(answer.content) < 700
    assert_guarded(answer)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("POST", "/models/churn/predict", b"", 400, "invalid-request"),
        ("POST", "/models/churn/predict", b'{"rows":[{"SPENT":1}]}', 400, "contract-violation"),
        ("POST", "/models/churn/predict", b'{"rows":[{"SPENT":"1","ORDERS":2,"VISITS":3}]}', 400, "contract-violation"),
        ("POST", "/models/unregistered/predict", b"", 404, "not-found"),
        ("POST", "/models/unregistered/refresh", b"", 404, "not-found"),
        ("GET", "/models/churn/predict", b"", 405, "method-not-allowed"),
        ("GET", "/nowhere", b"", 404, "unknown-path"),
        ("GET", "/problems/nothing", b"", 404, "not-found"),
        ("POST", "/models/churn/predict", b" " * 500_001, 413, "too-large"),
        ("POST", "/models/churn/predict", b'{"rows":[' + b"{}," * 65_536 + b"{}]}", 413, "too-many-rows"),
    ],
)
def test_errors_for_other_callers_are_problem_documents(
    churn: Service, method: str, path: str, body: bytes, status: int, kind: str
) -> None:
    answer = churn.client.request(method, path, content=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    title = TYPES[kind].title
    assert problem.pop("detail")
    assert problem == {"type": f"/problems/{kind}", "title": title, "status": status}
    explained = churn.get(problem["type"])
    assert (explained.status_code, explained.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert explained.text.startswith(title)


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (TransientError("busy"), 503, "1"),
        (TransientError("busy", retry_after_s=2.2), 503, "3"),
        (PermanentError("broken"), 500, None),
        (CallerError("another contract"), 400, None),
        (RuntimeError("value 7777"), 500, None),
    ],
)
def test_errors_of_the_endpoint_have_their_status(
    start: Any, error: Exception, status: int, retry_after: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> bytes:
        raise error

    service = start(Service(FakeEndpoint(fail), live_version()))
    for path, body, media_type in (
        ("/predict/churn", BATCH, "application/json"),
        ("/models/churn/predict", NAMED, PROBLEM),
    ):
        answer = service.post(path, json=body)
        assert (answer.status_code, answer.headers.get("retry-after")) == (status, retry_after)
        assert answer.headers["content-type"] == media_type
        assert "7777" not in answer.text
    assert "7777" not in caplog.text
    if isinstance(error, RuntimeError):
        unforeseen = [record for record in caplog.records if record.getMessage() == "unforeseen failure"]
        assert len(unforeseen) == 2
        assert "test_http.py" in unforeseen[0].fields["trace"]  # type: ignore[attr-defined]
        assert "7777" not in str(unforeseen[0].fields)  # type: ignore[attr-defined]


def test_readiness_reports_its_reason_and_recovers(start: Any) -> None:
    service = Service(FakeEndpoint(), live_version(), clock=fast_clock)
    service.store.failure = TransientError("S3 is slow")
    start(service)
    answer = service.get("/v2/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "reason": "the bucket cannot be listed (TransientError)"}
    assert service.get("/v2/health/live").json() == {"live": True}
    assert service.post("/predict/churn", json=BATCH).status_code == 503
    service.store.failure = None
    assert service.get("/v2/health/ready").json() == {"ready": True}
    assert service.post("/predict/churn", json=BATCH).status_code == 200


def test_live_models_are_loaded_at_startup(start: Any) -> None:
    service = start(Service(FakeEndpoint(), live_version(), live_version("fraud", "v7")))
    deadline = time.monotonic() + 60
    while service.get("/v2/health/ready").status_code != 200:
        assert time.monotonic() < deadline
    assert 'model_info{digest="' + "d1" * 32 + '",name="fraud",version="v7"} 1.0' in service.get("/metrics").text


def test_unknown_names_are_looked_up_once_and_are_no_metric_labels(start: Any) -> None:
    service = start(Service(FakeEndpoint(), live_version()))
    for _ in range(5):
        assert service.post("/predict/unregistered", json=BATCH).status_code == 404
    assert service.store.reads.count(f"s3://{BUCKET}/unregistered/live.json") == 1
    assert "unregistered" not in service.get("/metrics").text


def test_metrics_count_requests_rows_and_phases(start: Any) -> None:
    service = start(Service(FakeEndpoint(), live_version()))
    service.post("/predict/churn", json={"data": [[number, 1, 2, 3] for number in range(5)]})
    service.post("/predict/churn", json={"data": [[7, 1, 2, 3]]})
    service.post("/models/churn/predict", json=NAMED)
    service.get("/somewhere/else")
    httpx.get(f"{service.client.base_url}/metrics", trust_env=False)
    lines = service.get("/metrics").text.splitlines()
    for line in (
        'snowsage_serve_requests_total{code="200",model="churn",route="/predict/{model}"} 1.0',
        'snowsage_serve_requests_total{code="400",model="churn",route="/predict/{model}"} 1.0',
        'snowsage_serve_requests_total{code="200",model="churn",route="/models/{model}/predict"} 1.0',
        'snowsage_serve_requests_total{code="404",model="",route=""} 1.0',
        'snowsage_serve_requests_total{code="401",model="",route=""} 1.0',
        'snowsage_serve_rows_total{model="churn"} 6.0',
        'snowsage_serve_batch_rows_bucket{le="8192.0",model="churn"} 2.0',
        'snowsage_serve_phase_duration_seconds_count{model="churn",phase="score"} 2.0',
        "snowsage_serve_in_flight_requests 1.0",
    ):
        assert line in lines
    ours = {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}
    assert all(name.startswith("snowsage_serve_") for name in ours)


def test_each_batch_is_logged_in_one_line_without_values_and_secrets(
    start: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="app")
    service = start(Service(FakeEndpoint(), live_version()))
    ids = {
        "sf-external-function-current-query-id": "01b0-query",
        "sf-external-function-query-batch-id": "01b0:1:1:0:0 evil\tfield=1" + "x" * 500,
    }
    service.post("/predict/churn", json={"data": [[0, 7777, 2, 3]]}, headers=ids)
    service.post("/predict/churn", json={"data": [[0, {"key-7777": 1}]]}, headers=ids)
    lines = [record.fields for record in caplog.records if record.getMessage() == "batch"]  # type: ignore[attr-defined]
    good, refused = lines
    assert {name: good[name] for name in ("model", "version", "rows", "outcome", "query_id")} == {
        "model": "churn",
        "version": "v1",
        "rows": 1,
        "outcome": "ok",
        "query_id": "01b0-query",
    }
    assert all(good[f"{phase}_ms"] >= 0 for phase in ("decode", "score", "encode"))
    assert good["batch_id"].startswith("sha256:")
    assert "evil" not in str(good)
    assert (refused["outcome"], refused["error"]) == ("refused", "ContractMismatch")
    written = str([vars(record) for record in caplog.records])
    assert "7777" not in written
    assert SECRET not in written


def test_requests_that_are_no_predictions_are_logged_without_probes(
    churn: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="app.serve"):
        for path in ("/v2/health/ready", "/metrics", "/v2/models/churn?secret=x", "/nowhere/%0Aline"):
            churn.get(path)
        churn.get("/v2/health/live")  # a line is written after its response, and before the next request is read
    logged = [vars(record)["fields"] for record in caplog.records if record.getMessage() == "request"]
    assert [(line["method"], line["path"], line["status"]) for line in logged] == [
        ("GET", "/v2/models/churn", 200), ("GET", "/nowhere/?line", 404),
    ]  # fmt: skip
    assert all(line["ms"] >= 0 and line["caller"] == "gateway" for line in logged)


def test_the_description_lists_paths_and_responses(churn: Service) -> None:
    description = churn.get("/openapi.json").json()
    paths = description["paths"]
    assert sorted(paths) == [
        "/metrics",
        "/models/{model}/predict",
        "/models/{model}/refresh",
        "/predict/{model}",
        "/problems",
        "/problems/{name}",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/{model}",
        "/v2/models/{model}/infer",
        "/v2/models/{model}/ready",
        "/v2/models/{model}/versions/{version}",
        "/v2/models/{model}/versions/{version}/infer",
        "/v2/models/{model}/versions/{version}/ready",
        "/v2/repository/index",
    ]
    assert "422" not in str(description)
    assert description["security"] == [{"Secret": []}, {"Bearer": []}, {"ApiKey": []}]
    assert description["components"]["securitySchemes"].keys() == {"Secret", "Bearer", "ApiKey"}
    open_without = [path for path, item in paths.items() for one in item.values() if one.get("security") == []]
    assert open_without == ["/v2/health/live"]
    body = paths["/models/{model}/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert list(description["components"]["schemas"][body.rpartition("/")[2]]["examples"][0]) == ["rows"]


def test_the_description_lists_every_error_response(churn: Service) -> None:
    description = churn.get("/openapi.json").json()
    refusals = description["components"]["responses"]
    told = {
        f"{method} {path}": {
            status: answer["$ref"].rpartition("/")[2]
            for status, answer in operation["responses"].items()
            if "$ref" in answer
        }
        for path, item in description["paths"].items()
        for method, operation in item.items()
    }
    assert {name for answers in told.values() for name in answers.values()} <= refusals.keys()
    for status in ("400", "401", "403", "404", "405", "408", "413", "415", "429", "500", "503"):
        assert (
            told["post /predict/{model}"][status] == told["post /v2/models/{model}/infer"][status] == f"Error{status}"
        )
        assert told["post /models/{model}/predict"][status] == f"Problem{status}"
    assert told["get /v2/health/live"].keys() == {"405", "500"}
    assert "202" in description["paths"]["/predict/{model}"]["post"]["responses"]
    headers = {name: answer["headers"].keys() for name, answer in refusals.items()}
    for form in ("Error", "Problem"):
        assert headers[f"{form}401"] == headers[f"{form}403"] == {"WWW-Authenticate"}
        assert headers[f"{form}429"] == headers[f"{form}503"] == {"Retry-After"}
        assert headers[f"{form}415"] == {"Accept", "Accept-Encoding"}
        assert headers[f"{form}405"] == {"Allow"}
    kinds = [
        kind
        for name, answer in refusals.items()
        if name.startswith("Problem")
        for kind in answer["content"][PROBLEM]["schema"]["properties"]["type"]["enum"]
    ]
    assert sorted(kinds) == sorted(kind.uri for kind in TYPES.values())


def test_several_applications_run_in_one_process() -> None:
    settings = ServeSettings(bucket=BUCKET, secrets=(SECRET,))
    apps = [create_app(settings, MemoryStore(), FakeEndpoint()) for _ in range(3)]
    assert len({id(app) for app in apps}) == 3
    with pytest.raises(CallerError, match="SNOWSAGE_SECRETS"):
        create_app(ServeSettings(bucket=BUCKET, secrets=()), MemoryStore(), FakeEndpoint())


def test_a_port_in_use_is_reported_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = ServeSettings(bucket=BUCKET, secrets=(SECRET,), serve_port=port)
        with pytest.raises(CallerError, match=f"^port {port} on 127.0.0.1 is in use; .* SNOWSAGE_SERVE_PORT"):
            serve(settings, create_app(settings, MemoryStore(), FakeEndpoint()))


def test_an_address_of_another_host_is_a_caller_error() -> None:
    settings = ServeSettings(bucket=BUCKET, secrets=(SECRET,), serve_host="203.0.113.1")
    with pytest.raises(CallerError, match=r"cannot listen on 203\.0\.113\.1"):
        serve(settings, create_app(settings, MemoryStore(), FakeEndpoint()))


SLOW_SERVICE = """
import sys, time
sys.path[:0] = sys.argv[1:]
import numpy as np
from tests.unit.serve.fakes import BUCKET, SECRET, FakeEndpoint, MemoryStore, live_version
from app import log
from app.serve.process.server import serve
from app.serve.application import create_app
from app.settings import ServeSettings
from sagemaker_entry import npy

def answer(endpoint, matrix, fingerprint):
    print("scoring", flush=True)
    time.sleep(0.5)
    return npy.encode(np.zeros(len(matrix), np.float32))

log.configure("info")
settings = ServeSettings(bucket=BUCKET, secrets=(SECRET,), serve_port=0, lame_duck_s=0.2)
serve(settings, create_app(settings, MemoryStore(live_version()), FakeEndpoint(answer)))
print("ended", flush=True)
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
def test_requests_in_progress_finish_after_a_signal(number: signal.Signals, status: int) -> None:
    command = [sys.executable, "-c", SLOW_SERVICE, str(Path(__file__).parents[3])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stderr.readline()
            assert "listening" in line, line + process.stderr.read()
            answers: list[httpx.Response] = []
            url = line.strip().partition("address=")[2]
            assert f"docs={url}/docs" in line
            caller = threading.Thread(target=lambda: answers.append(ask(url)))
            caller.start()
            assert process.stdout.readline() == "scoring\n"
            process.send_signal(number)
            caller.join()
            assert process.wait(60) == status
        finally:
            process.kill()
    assert orjson.loads(answers[0].content) == {"data": [[0, 0.0]]}


def ask(url: str) -> httpx.Response:
    headers = {"x-snowsage-secret": SECRET, "connection": "close"}
    return httpx.post(f"{url}/predict/churn", json=BATCH, headers=headers, timeout=10, trust_env=False)
