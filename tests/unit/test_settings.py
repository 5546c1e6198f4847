"""Settings: errors name and explain missing variables, misspelt variables are reported, and secrets are not shown."""

from __future__ import annotations

from collections import Counter

import pytest

from app import settings
from app.errors import CallerError

SERVE = {"SNOWSAGE_BUCKET": "lake", "SNOWSAGE_SECRETS": "one"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without the product's variables."""
    for name in settings.known_variables():
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_every_missing_variable_is_named_and_explained(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(CallerError) as caught:
        settings.read(settings.ServeSettings)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[0] == (
        "SNOWSAGE_BUCKET is not set. S3 bucket in which `deploy` writes the records of live versions. "
        "`snowsage local env` prints its value for the local cloud."
    )
    assert lines[1].startswith("SNOWSAGE_SECRETS is not set. Shared secrets")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SNOWSAGE_SERVE_PORT", "70000"),
        ("SNOWSAGE_SERVE_PORT", "http"),
        ("SNOWSAGE_MAX_BODY_BYTES", "0"),
        ("SNOWSAGE_DEFERRED_RESERVE_S", "0"),
        ("SNOWSAGE_DEFERRED_RESERVE_S", "27"),  # as long as a request's whole time
        ("SNOWSAGE_WORKERS", "-1"),
        ("SNOWSAGE_WORKERS", "many"),
    ],
)
def test_a_wrong_value_is_named_and_explained(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    for variable, good in {**SERVE, name: value}.items():
        environment.setenv(variable, good)
    with pytest.raises(CallerError, match=rf"^{name} is wrong: Input should be .*\. [A-Z]"):
        settings.read(settings.ServeSettings)


@pytest.mark.parametrize(("value", "workers"), [("1", 1), ("3", 3), ("0", 0), ("auto", 0)])
def test_workers_are_a_number_or_auto(environment: pytest.MonkeyPatch, value: str, workers: int) -> None:
    for variable, good in {**SERVE, "SNOWSAGE_WORKERS": value}.items():
        environment.setenv(variable, good)
    assert settings.read(settings.ServeSettings).workers == workers


def test_secrets_are_split_at_commas_and_never_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SNOWSAGE_BUCKET", "lake")
    environment.setenv("SNOWSAGE_SECRETS", " correct-horse , battery,, ")
    found = settings.read(settings.ServeSettings)
    assert [secret.get_secret_value() for secret in found.secrets] == ["correct-horse", "battery"]
    assert "horse" not in repr(found) + str(found)
    assert "battery" not in repr(found) + str(found)


def test_the_deploy_secret_is_never_shown(environment: pytest.MonkeyPatch) -> None:
    for name in ("BUCKET", "EXECUTION_ROLE_ARN", "GATEWAY_URL", "API_URL"):
        environment.setenv(f"SNOWSAGE_{name}", "x")
    environment.setenv("SNOWSAGE_SECRET", "correct-horse")
    environment.setenv("SNOWSAGE_POLL_S", "fast")
    with pytest.raises(CallerError) as caught:
        settings.read(settings.PlatformSettings)
    assert "horse" not in str(caught.value)
    environment.setenv("SNOWSAGE_POLL_S", "0.5")
    assert "horse" not in repr(settings.read(settings.PlatformSettings))


def test_settings_are_immutable(environment: pytest.MonkeyPatch) -> None:
    found = settings.read(settings.LogSettings)
    with pytest.raises(ValueError, match="frozen"):
        found.log_level = "debug"


def test_an_unknown_variable_is_reported_with_the_nearest_known_one() -> None:
    assert settings.warnings_for({"SNOWSAGE_BUKET": "lake", "SNOWSAGE_BUCKET": "lake", "PATH": "/bin"}) == [
        "SNOWSAGE_BUKET is not a setting; did you mean SNOWSAGE_BUCKET?"
    ]


def test_an_unknown_variable_without_a_similar_one_is_reported() -> None:
    assert settings.warnings_for({"SNOWSAGE_" + "Q" * 40: ""}) == ["SNOWSAGE_" + "Q" * 40 + " is not a setting."]


@pytest.mark.parametrize(
    "name",
    [
        "SNOWSAGE_PORT",
        "SNOWSAGE_PORT_8080_TCP",
        "SNOWSAGE_PORT_8080_TCP_ADDR",
        "SNOWSAGE_SERVICE_HOST",
        "SNOWSAGE_SERVICE_PORT_HTTP",
    ],
)
def test_variables_that_kubernetes_injects_are_not_reported(name: str) -> None:
    assert settings.warnings_for({name: "10.0.0.1"}) == []


def test_no_setting_has_a_name_that_kubernetes_would_overwrite() -> None:
    known = settings.known_variables()
    assert settings.warnings_for(dict.fromkeys(known, "")) == []
    assert not [name for name in known if name.startswith(("SNOWSAGE_SERVICE_", "SNOWSAGE_PORT"))]


def test_every_variable_is_explained() -> None:
    assert all(known.endswith(".") or known.endswith("s3://.") for known in settings.known_variables().values())


def test_a_variable_in_two_groups_has_the_same_meaning_in_both() -> None:
    read_by = Counter(name for group in settings._GROUPS for name in group.model_fields)
    assert {name for name, groups in read_by.items() if groups > 1} == {"bucket"}
