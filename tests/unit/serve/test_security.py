"""Authentication and authorisation: secrets, API keys, scopes, and a key file that changes."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from app.__main__ import cli
from app.errors import CallerError, Unauthorized
from app.serve.security.api_keys import CHECK_EVERY_S, ApiKey, KeyFile, make_key, parse_file, parse_key
from app.serve.security.credentials import Credentials, Forbidden, scope_for

CANARY = "snowsage_canary-key-0123456789"


def line(name: str, scopes: str, key: str) -> str:
    return f"{name}:{scopes}:{hashlib.sha256(key.encode()).hexdigest()}"


def secret(value: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-snowsage-secret", value.encode())]


def test_only_valid_secrets_are_accepted() -> None:
    known = Credentials([SecretStr("old"), SecretStr("néw")])
    for value in ("old", "néw"):
        caller = known.caller_of(secret(value))
        assert (caller.name, caller.scopes) == ("gateway", {"predict", "run", "read"})
    for value in ("", "ol", "old ", "OLD", "old,new"):
        with pytest.raises(Unauthorized, match="x-snowsage-secret"):
            known.caller_of(secret(value))
    with pytest.raises(Unauthorized):
        known.caller_of([])


@pytest.mark.parametrize("values", [[], [""], ["good", ""]])
def test_a_service_without_credentials_does_not_start(values: list[str]) -> None:
    with pytest.raises(CallerError, match="SNOWSAGE_SECRETS"):
        Credentials([SecretStr(value) for value in values])


def test_an_api_key_is_accepted_in_both_headers_and_is_not_a_secret() -> None:
    known = Credentials(
        [SecretStr("old")], [parse_key(line("shop", "predict", "k1")), parse_key(line("ops", "read+run", "k2"))]
    )
    for headers in ([(b"authorization", b"Bearer k1")], [(b"authorization", b"bEARER  k1 ")], [(b"x-api-key", b"k1")]):
        caller = known.caller_of([(b"accept", b"*/*"), *headers])
        assert (caller.name, caller.scopes) == ("shop", {"predict"})
    for headers in (
        secret("k1"),
        [(b"x-api-key", b"old")],
        [(b"authorization", b"Bearer old")],
        [(b"authorization", b"Basic k1")],
        [(b"authorization", b"k1")],
        [(b"x-api-key", b"")],
        [(b"x-api-key", hashlib.sha256(b"k1").hexdigest().encode())],
        [(b"x-api-key", hashlib.sha256(b"k1").digest())],
    ):
        with pytest.raises(Unauthorized):
            known.caller_of(headers)


def test_headers_of_a_gateway_do_not_affect_the_secret() -> None:
    known = Credentials([SecretStr("old")], [parse_key(line("shop", "predict", "k1"))])
    others = [(b"authorization", b"AWS4-HMAC-SHA256 Credential=x"), (b"x-api-key", b"the-gateways")]
    assert known.caller_of([*others, *secret("old")]).name == "gateway"
    assert known.caller_of([*secret("wrong"), (b"x-api-key", b"k1")]).name == "shop"


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/predict/churn", "predict"),
        ("GET", "/predict/churn", "predict"),
        ("POST", "/models/churn/predict", "predict"),
        ("POST", "/v2/models/churn/infer", "predict"),
        ("POST", "/v2/models/churn/versions/v1/infer", "predict"),
        ("GET", "/v2/models/churn", "read"),
        ("GET", "/v2", "read"),
        ("POST", "/v2/repository/index", "read"),
        ("POST", "/v2/repository/models/churn/load", "run"),
        ("GET", "/metrics", "read"),
        ("HEAD", "/metrics", "read"),
        ("GET", "/v2/health/ready", "read"),
        ("GET", "/openapi.json", "read"),
        ("GET", "/docs", "read"),
        ("GET", "/nowhere", "read"),
        ("POST", "/models/churn/refresh", "run"),
        ("POST", "/runs", "run"),
        ("GET", "/runs", "run"),
        ("GET", "/runs/17", "run"),
        ("GET", "/runsabout", "read"),
        ("DELETE", "/v2/models/churn", "run"),
        ("POST", "/nowhere", "run"),
        ("OPTIONS", "/predictx", "run"),
    ],
)
def test_the_scope_of_each_path(method: str, path: str, scope: str) -> None:
    assert scope_for(method, path) == scope
    key = parse_key(line("shop", scope, "k1"))
    caller = Credentials([SecretStr("s")], [key]).caller_of([(b"x-api-key", b"k1")])
    caller.require(scope_for(method, path))
    for other in {"predict", "run", "read"} - {scope}:
        with pytest.raises(Forbidden, match=f"shop does not have the scope {other}"):
            caller.require(other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (CANARY, "name:scopes:sha256"),
        (f"shop:predict:{CANARY}", "64 hex digits"),
        (f"shop:{CANARY}:{'0' * 64}", "scopes that do not exist"),
        (f"shop::{'0' * 64}", "scopes that do not exist"),
        (f"shop:predict+predict:{'0' * 64}", "scopes that do not exist"),
        (f"{CANARY}/x:predict:{'0' * 64}", "an API key's name"),
        (f"gateway:predict:{'0' * 64}", "is not 'gateway'"),
        (f"shop:predict:{'0' * 64}:{CANARY}", "name:scopes:sha256"),
    ],
)
def test_an_invalid_line_is_explained_and_not_quoted(text: str, fault: str) -> None:
    with pytest.raises(CallerError) as caught:
        parse_file(f"# keys\n\n{text}\n")
    assert str(caught.value).startswith("line 3: ")
    assert fault in str(caught.value)
    assert CANARY not in str(caught.value)


def test_a_new_key_has_the_scopes_in_its_line() -> None:
    key, known = make_key("shop", ["read", "predict"])
    again, _ = make_key("shop", ["read"])
    assert key != again
    assert parse_key(known.line) == known
    assert key not in known.line + repr(known)
    caller = Credentials([], [known]).caller_of([(b"authorization", f"Bearer {key}".encode())])
    assert (caller.name, caller.scopes) == ("shop", {"predict", "read"})


def test_the_command_prints_a_key_and_its_line() -> None:
    done = CliRunner().invoke(cli, ["serve", "key", "shop", "--scope", "predict", "--scope", "read"])
    assert done.exit_code == 0, done.output
    lines = [text.strip() for text in done.output.splitlines()]
    key, known = lines[1], parse_key(lines[4])
    assert (known.name, known.scopes, known.digest) == (
        "shop",
        {"predict", "read"},
        hashlib.sha256(key.encode()).digest(),
    )
    refused = CliRunner().invoke(cli, ["serve", "key", "shop", "--scope", "everything"])
    assert isinstance(refused.exception, CallerError)


def test_the_key_file_is_read_again_when_it_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, now = tmp_path / "keys", [0.0]
    path.write_text(line("shop", "predict", "k1"))
    known = Credentials([], [], KeyFile(path, clock=lambda: now[0]))

    def callers(*keys: str) -> list[str]:
        found = []
        for key in keys:
            try:
                found.append(known.caller_of([(b"x-api-key", key.encode())]).name)
            except Unauthorized:
                found.append("")
        return found

    assert callers("k1", "k2") == ["shop", ""]
    path.write_text(f"{line('shop', 'predict', 'k1')}\n{line('shop', 'predict', 'k2')}\n")
    assert callers("k1", "k2") == ["shop", ""]  # not checked yet
    now[0] += CHECK_EVERY_S
    assert callers("k1", "k2") == ["shop", "shop"]
    path.write_text(line("shop", "predict", "k2"))
    now[0] += CHECK_EVERY_S
    assert callers("k1", "k2") == ["", "shop"]
    path.write_text(f"{line('shop', 'predict', 'k3')}\n{CANARY}")
    with caplog.at_level(logging.WARNING, logger="app"):
        now[0] += CHECK_EVERY_S
        assert callers("k2", "k3") == ["shop", ""]
        path.unlink()
        now[0] += CHECK_EVERY_S
        assert callers("k2") == ["shop"]
    warned = [str(record.fields["error"]) for record in caplog.records]  # type: ignore[attr-defined]
    assert ["line 2" in warned[0], "cannot be read" in warned[1]] == [True, True]
    assert CANARY not in str(warned)
    path.write_text(line("renamed", "read", "k2"))
    now[0] += CHECK_EVERY_S
    assert callers("k2", "k2") == ["renamed", "renamed"]
    path.write_text("# none\n")
    now[0] += CHECK_EVERY_S
    assert callers("k2") == [""]


def test_an_invalid_key_file_at_startup_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="cannot be read"):
        KeyFile(tmp_path / "nowhere")
    (tmp_path / "keys").write_text("shop")
    with pytest.raises(CallerError, match="line 1"):
        KeyFile(tmp_path / "keys")


def test_a_key_of_an_empty_text_is_refused_and_an_empty_credential_is_none() -> None:
    empty = hashlib.sha256(b"").hexdigest()
    with pytest.raises(CallerError, match="shop has the SHA-256 of an empty text"):
        parse_key(f"shop:predict:{empty}")
    let_in = ApiKey("shop", frozenset({"predict"}), bytes.fromhex(empty))
    credentials = Credentials((), [let_in])
    for headers in ([(b"authorization", b"Bearer ")], [(b"authorization", b"Bearer")], [(b"x-api-key", b"")], []):
        with pytest.raises(Unauthorized):
            credentials.caller_of(headers)
