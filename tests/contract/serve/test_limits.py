"""HTTP edge cases: methods, unknown paths, content types and encodings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.serve.raw_http import exchange, get
from tests.contract.serve.service import Service

BATCH = {"data": [[0, 1, 2, 3]]}
NAMED = {"rows": [{"SPENT": 1, "ORDERS": 2, "VISITS": 3}]}
TENSOR = {"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
INFERENCE = {"inputs": [TENSOR]}
PREDICTING: dict[str, Any] = {
    "/predict/churn": BATCH,
    "/models/churn/predict": NAMED,
    "/v2/models/churn/infer": INFERENCE,
    "/v2/models/churn/versions/v1/infer": INFERENCE,
}
METHODS = {
    "/predict/churn": "GET, HEAD, POST",
    "/models/churn/predict": "POST",
    "/models/churn/refresh": "POST",
    "/metrics": "GET, HEAD",
    "/problems": "GET, HEAD",
    "/problems/overloaded": "GET, HEAD",
    "/": "GET, HEAD",
    "/docs": "GET, HEAD",
    "/openapi.json": "GET, HEAD",
    "/v2": "GET, HEAD",
    "/v2/health/live": "GET, HEAD",
    "/v2/health/ready": "GET, HEAD",
    "/v2/models/churn": "GET, HEAD",
    "/v2/models/churn/ready": "GET, HEAD",
    "/v2/models/churn/infer": "POST",
    "/v2/models/churn/versions/v1": "GET, HEAD",
    "/v2/models/churn/versions/v1/ready": "GET, HEAD",
    "/v2/models/churn/versions/v1/infer": "POST",
    "/v2/repository/index": "POST",
}


#: The rest of a request without a body, after the request line.
REST = get("/").partition("\r\n")[2]


def quoted(name: str) -> str:
    return "".join(char if " " < char < "\x7f" else "".join(f"%{byte:02x}" for byte in char.encode()) for char in name)


@pytest.mark.parametrize(("path", "allowed"), METHODS.items(), ids=METHODS)
def test_an_unsupported_method_is_405_and_allow_lists_the_others(churn: Service, path: str, allowed: str) -> None:
    others = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - set(allowed.split(", "))
    assert others
    for method in sorted(others):
        answer = churn.client.request(method, path, headers={"origin": "https://elsewhere"})
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed), method
        assert not [name for name in answer.headers if name.startswith("access-control")]
        if method == "HEAD":
            assert answer.content == b""
        elif path.startswith(("/predict/", "/v2")):
            assert list(answer.json()) == ["error"]
        else:
            assert answer.json()["type"] == "/problems/method-not-allowed"


@pytest.mark.parametrize("path", [path for path, allowed in METHODS.items() if "HEAD" in allowed])
def test_head_returns_the_headers_of_get_without_a_body(churn: Service, path: str) -> None:
    """Read as bytes, because a client would hide an unexpected body; the connection stays usable."""
    (head,) = exchange(churn, get(path, "HEAD"), head_only=True)
    got, *_ = exchange(churn, get(path))
    changing = {"content-length"} if path == "/metrics" else set()
    kept = head.headers.keys() - {"date", *changing}
    assert head.status == got.status
    assert {name: head.headers[name] for name in kept} == {name: got.headers[name] for name in kept}
    assert "content-length" in head.headers
    twice = exchange(churn, get(path, "HEAD") * 2, answers=2, head_only=True)
    assert [answer.status for answer in twice] == [got.status] * 2


def test_head_requires_the_same_credentials_as_get(churn: Service) -> None:
    for path in ("/metrics", "/v2/health/ready", "/nowhere"):
        assert churn.client.head(path, headers={"x-snowsage-secret": "wrong"}).status_code == 401
    assert churn.client.head("/v2/health/live", headers={"x-snowsage-secret": "wrong"}).status_code == 200


ODD = "\u202e\u0007<script>%0d%0aX-Evil:%201"
ABSENT = [
    "/nowhere",
    "/predict",
    "/predict/",
    "/predict/churn/",
    "/predict/churn/more",
    "/predict//churn",
    "//predict/churn",
    "/Predict/churn",
    "/predict%2Fchurn/x",
    "/predict/churn%2F",
    "/predict/a%2Fb",
    "/predict/%2e%2e%2fchurn%2f",
    "/models/churn/predict/",
    "/models//predict",
    "/models/a%2Fb/predict",
    "/v2/",
    "/v2/models/",
    "/v2/models/churn/infer/",
    "/v2/models/churn/versions//infer",
    "/v2/health/live/",
    "/metrics/",
    "/problems/",
    f"/{ODD}",
    f"/v2/{ODD}",
    f"/v2/models/{ODD}/x",
    f"/predict/{ODD}/",
    "/" + "a" * 5000,
]


@pytest.mark.parametrize("path", ABSENT, ids=range(len(ABSENT)))
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
def test_an_unknown_path_is_404_for_all_methods(churn: Service, method: str, path: str) -> None:
    (answer,) = exchange(churn, get(quoted(path), method))
    assert answer.status == 404, answer.body
    assert "allow" not in answer.headers
    said = json.loads(answer.body)
    if "error" not in said:
        assert (said["type"], said["status"]) == ("/problems/unknown-path", 404)
    assert_plain(said.get("error") or said["detail"])
    assert "x-evil" not in answer.headers


def assert_plain(text: str) -> None:
    assert text.isascii()
    assert text.isprintable()
    assert "script" not in text
    assert len(text) < 400


NAMES = [
    "..",
    ".",
    "%2e%2e",
    "unregistered",
    "a" * 3000,
    ODD,
    "%00",
    "%ff%fe",
    "churn%00",
    "churn;a=b",
    "churn%20",
    "CHURN",
    "a b",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_invalid_model_names_are_404_with_a_plain_message(churn: Service, name: str) -> None:
    statuses = []
    for path in ("/predict/{}", "/models/{}/predict", "/models/{}/refresh", "/v2/models/{}/infer"):
        (answer,) = exchange(churn, f"POST {path.format(quoted(name))} HTTP/1.1\r\n{REST}")
        statuses.append(answer.status)
        assert_plain(answer.body.decode())
        assert "x-evil" not in answer.headers
    assert set(statuses) == {404}


@pytest.mark.parametrize("path", PREDICTING)
@pytest.mark.parametrize(
    "kind", [None, "application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8", "a/b+json"]
)
def test_every_json_content_type_is_accepted(churn: Service, path: str, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    answer = churn.post(path, content=json.dumps(PREDICTING[path]), headers=headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", PREDICTING)
@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "text/plain",
        "application/json; charset=utf-16",
    ],
)
def test_other_content_types_are_415_and_accept_lists_the_supported_ones(churn: Service, path: str, kind: str) -> None:
    answer = churn.post(path, content=json.dumps(PREDICTING[path]), headers={"content-type": kind})
    assert answer.status_code == 415
    assert answer.headers["accept"] == "application/json" + ", application/octet-stream" * path.startswith("/v2")
    if path == "/models/churn/predict":
        assert answer.json()["type"] == "/problems/unsupported-media-type"
    assert "accept-encoding" not in answer.headers


@pytest.mark.parametrize("path", PREDICTING)
def test_other_encodings_are_415_and_accept_encoding_lists_the_supported_ones(churn: Service, path: str) -> None:
    body = json.dumps(PREDICTING[path]).encode()
    for encoding in ("br", "zstd", "gzip, br"):
        answer = churn.post(path, content=body, headers={"content-encoding": encoding})
        assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip, deflate")
        assert "accept" not in answer.headers
        if path == "/models/churn/predict":
            assert answer.json()["type"] == "/problems/unsupported-encoding"


@pytest.mark.parametrize("accept", ["*/*", "application/xml", "text/html;q=0.9", "application/json;q=0", ""])
def test_the_accept_header_is_ignored(churn: Service, accept: str) -> None:
    """RFC 9110, section 12.5.1, allows this; Snowflake sends ``*/*``."""
    for path, body in PREDICTING.items():
        answer = churn.post(path, json=body, headers={"accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
