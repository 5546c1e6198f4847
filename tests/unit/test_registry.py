"""The registry: versions, the quality gate, and the artefact, which is verified before it is opened."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import NotFound, PermanentError
from app.ports import Table
from app.registry.archive import ArchiveError, unpack
from app.registry.artifact import fetched
from app.registry.claims import claim_number
from app.registry.gate import judge
from app.registry.plan import TrainedArtifact, plan_registry
from app.registry.run import run_registry, versions_of
from app.registry.versions import RegisteredVersion, Version, from_row, insert_version, next_version, promote
from app.runs.identity import Run
from app.spec.schema import Gate
from app.sql import Statement
from sagemaker_entry.contract import Contract
from tests.support.fakes import FakeStore, FakeWarehouse
from tests.support.statements import read
from tests.unit import churn

OTHER = Contract(churn.CONTRACT.columns[:-1], key=("CUSTOMER_ID",), label="CHURNED")
URI = churn.trained().artifact_uri


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=2, max_size=6))
def test_versions_are_ordered_as_numbers(pairs: list[tuple[int, int]]) -> None:
    versions = [Version.parse(f"{major}.{minor}") for major, minor in pairs]
    assert [str(version) for version in sorted(versions)] == [f"{major}.{minor}" for major, minor in sorted(pairs)]


@pytest.mark.parametrize(
    ("existing", "contract", "expected"),
    [
        ([], churn.CONTRACT, "1.0"),
        ([("1.0", churn.CONTRACT)], churn.CONTRACT, "1.1"),
        ([("1.0", churn.CONTRACT)], OTHER, "2.0"),
        ([("1.10", churn.CONTRACT), ("1.9", churn.CONTRACT)], churn.CONTRACT, "1.11"),
        ([("2.0", OTHER), ("1.7", churn.CONTRACT)], churn.CONTRACT, "3.0"),
        ([("2.0", OTHER), ("1.7", churn.CONTRACT)], OTHER, "2.1"),
    ],
)
def test_the_next_version_follows_the_highest(
    existing: list[tuple[str, Contract]], contract: Contract, expected: str
) -> None:
    known = [churn.registered(version=version, contract=made.to_dict()) for version, made in existing]
    assert str(next_version(known, contract.fingerprint)) == expected


# --- the gate -----------------------------------------------------------------------------------------------------------


def less(value: float, single: float = 0.5) -> dict[str, Any]:
    """A report of a metric where lower is better."""
    return {
        "metrics": {"test": {"logloss": value}},
        "single_columns": {"logloss": [{"column": "A", "metric": "logloss", "value": single}]},
    }


def number(rmse: float, r2: float, mae: float = 1.0) -> dict[str, Any]:
    """A report of a regression: the mean label alone has the rmse 2 and the mae 1."""
    return {
        "metrics": {"test": {"rmse": rmse, "mae": mae, "r2": r2}},
        "mean": {"rmse": 2.0, "mae": 1.0, "r2": 0.0},
        "single_columns": {"rmse": [{"column": "A", "metric": "rmse", "value": 3.0}]},
    }


@pytest.mark.parametrize(
    ("bounds", "report", "failed"),
    [
        ({"metric": "rmse"}, number(1.5, 0.4), []),
        (
            {"metric": "rmse"},
            number(1.98, 0.03),
            ["rmse 1.9800 is +1.0% below the mean label's, 2.0000 (minimum +2.0%)"],
        ),
        ({"metric": "rmse"}, number(1.9, 0.01), ["r2 0.0100 (minimum 0.02)"]),
        ({"metric": "rmse", "better_than_mean_by": 0.3}, number(1.5, 0.4), ["rmse 1.5000 is +25.0% below"]),
        ({"metric": "rmse", "better_than_mean_by": -1, "r2_at_least": -1}, number(2.1, -0.1), []),
        ({"metric": "mae"}, number(1.9, -0.2, 0.8), ["r2 -0.2000 (minimum 0.02)"]),
        ({"metric": "mae"}, number(1.5, 0.4, 0.99), ["mae 0.9900 is +1.0% below"]),
        ({"metric": "r2", "at_least": 0.5}, number(1.5, 0.4), ["r2 0.4000 (minimum 0.5)"]),
    ],
)
def test_a_regression_must_beat_the_mean_label_by_error_and_r2(
    bounds: dict[str, Any], report: dict[str, Any], failed: list[str]
) -> None:
    verdict = judge(Gate(**bounds), report, None)
    wrong = [sentence for sentence in verdict.sentences if sentence.startswith("failed: ")]
    assert verdict.passed == (not failed)
    assert len(wrong) == len(failed)
    assert all(part in sentence for part, sentence in zip(failed, wrong, strict=True))


def test_a_verdict_has_the_warnings_of_the_training() -> None:
    verdict = judge(Gate(), {**churn.report(), "warnings": ["training stopped after 2 of 600 rounds: ..."]}, None)
    assert verdict.passed
    assert verdict.sentences == ("warning: training stopped after 2 of 600 rounds: ...",)


@pytest.mark.parametrize(
    ("bounds", "report", "incumbent", "passed"),
    [
        ({}, churn.report(0.5), None, True),
        ({"at_least": 0.8}, churn.report(0.8), None, True),
        ({"at_least": 0.8}, churn.report(0.7999), None, False),
        ({"metric": "logloss", "at_most": 0.4}, less(0.4), None, True),
        ({"metric": "logloss", "at_most": 0.4}, less(0.41), None, False),
        ({"better_than_single_column_by": 0.01}, churn.report(0.81, 0.79), None, True),
        ({"better_than_single_column_by": 0.03}, churn.report(0.81, 0.79), None, False),
        ({"metric": "logloss", "better_than_single_column_by": 0.09}, less(0.4, 0.5), None, True),
        ({"metric": "logloss", "better_than_single_column_by": 0.01}, less(0.5, 0.4), None, False),
        ({"at_most_below_incumbent": 0.0}, churn.report(0.1), None, True),
        ({"at_most_below_incumbent": 0.02}, churn.report(0.80), churn.report(0.81), True),
        ({"at_most_below_incumbent": 0.005}, churn.report(0.80), churn.report(0.81), False),
        ({"at_most_below_incumbent": 0.0}, churn.report(0.82), churn.report(0.81), True),
        ({"metric": "logloss", "at_most_below_incumbent": 0.02}, less(0.41), less(0.40), True),
        ({"metric": "logloss", "at_most_below_incumbent": 0.005}, less(0.41), less(0.40), False),
        ({"metric": "logloss", "at_most_below_incumbent": 0.0}, less(0.39), less(0.40), True),
        ({"at_most_below_incumbent": 0.0}, churn.report(0.1), less(0.40), True),
        ({"at_least": 0.8, "at_most_below_incumbent": 0.0}, churn.report(0.81), churn.report(0.9), False),
    ],
)
def test_the_gate_applies_its_bounds(
    bounds: dict[str, Any], report: dict[str, Any], incumbent: dict[str, Any] | None, passed: bool
) -> None:
    verdict = judge(Gate(**bounds), report, incumbent)
    assert verdict.passed is passed
    assert all(sentence.startswith(("passed: ", "failed: ")) for sentence in verdict.sentences)
    assert any(sentence.startswith("failed: ") for sentence in verdict.sentences) is not passed


def test_each_bound_has_its_own_sentence() -> None:
    gate = Gate(at_least=0.75, better_than_single_column_by=0.05, at_most_below_incumbent=0.01)
    assert judge(gate, churn.report(), churn.report(0.85)).sentences == (
        "passed: auc 0.8100 (minimum 0.75)",
        "failed: auc 0.8100 is +0.0200 from DAYS_SINCE_LAST_ORDER alone, 0.7900 (minimum +0.05)",
        "failed: auc 0.8100 is -0.0400 from production, 0.8500 (minimum -0.01)",
    )


def test_a_metric_of_nan_does_not_pass() -> None:
    assert not judge(Gate(at_least=0.0), churn.report(float("nan")), None).passed


# --- the plan -----------------------------------------------------------------------------------------------------------


def found(contract: Contract = churn.CONTRACT, auc: float = 0.81) -> TrainedArtifact:
    return TrainedArtifact("ab" * 32, contract.to_dict(), churn.report(auc))


def planned(artifact: TrainedArtifact, existing: list[RegisteredVersion]) -> RegisteredVersion:
    return plan_registry(churn.PIPELINE, churn.RUN, churn.trained(), artifact, churn.CONTRACT, existing)


def test_a_good_model_becomes_a_candidate_and_a_poor_one_is_recorded_as_rejected() -> None:
    assert (planned(found(), []).stage, planned(found(), []).version) == ("candidate", "1.0")
    rejected = planned(found(auc=0.6), [])
    assert (rejected.stage, rejected.version) == ("rejected", "1.0")
    assert "failed: auc 0.6000 (minimum 0.75)" in rejected.verdict


def test_only_the_version_in_production_is_the_incumbent() -> None:
    others = [
        churn.registered(version="1.0", run_id="a", stage="archived", report=churn.report(0.99)),
        churn.registered(version="1.1", run_id="b", stage="production", report=churn.report(0.8)),
        churn.registered(version="1.2", run_id="c", stage="rejected", report=churn.report(0.99)),
    ]
    version = planned(found(), others)
    assert (version.stage, version.version) == ("candidate", "1.3")
    assert any("from production, 0.8000" in sentence for sentence in version.verdict)


def test_a_repeated_run_keeps_its_version() -> None:
    mine = churn.registered(version="1.4", stage="production")
    assert planned(found(auc=0.1), [churn.registered(version="1.5", run_id="later"), mine]) is mine


@pytest.mark.parametrize(
    ("stage", "auc", "judged"),
    [
        ("rejected", 0.81, "candidate"),
        ("candidate", 0.6, "rejected"),
        ("production", 0.6, "production"),
        ("archived", 0.6, "archived"),
    ],
)
def test_a_repeated_run_judges_its_version_again_unless_it_went_live(stage: Any, auc: float, judged: str) -> None:
    mine = churn.registered(version="1.4", stage=stage, report=churn.report(auc))
    assert planned(found(), [mine]).stage == judged
    body = churn.archive(contract=churn.CONTRACT.to_dict(), report=churn.report())
    stored = insert_version(mine, churn.KNOWN_AT).binds
    row = (*stored[:4], stored[6], stored[8], *stored[9:])
    warehouse = FakeWarehouse({"SELECT MODEL, VERSION": [row]})
    store = FakeStore({URI: body})
    run_registry(churn.PIPELINE, churn.RUN, churn.trained(), churn.CONTRACT, warehouse, store, churn.BUCKET)
    written = [statement for statement in warehouse.statements if statement.text.startswith("UPDATE")]
    assert [statement.binds[0] for statement in written] == ([judged] if judged != stage else [])
    for statement in written:
        read(statement.text)
        assert statement.text.count("?") == len(statement.binds)


def test_a_model_of_another_contract_is_rejected() -> None:
    with pytest.raises(
        PermanentError, match=f"contract {OTHER.fingerprint}, the export has {churn.CONTRACT.fingerprint}"
    ):
        planned(found(OTHER), [])


# --- the table ----------------------------------------------------------------------------------------------------------


def test_a_version_is_decoded_from_its_row() -> None:
    version = churn.registered()
    statement = insert_version(version, churn.KNOWN_AT)
    read(statement.text)
    assert statement.text.count("?") == len(statement.binds)
    model, number, run, stage, _, _, contract, _, report, gate, job, uri, digest = statement.binds
    back = from_row((model, number, run, stage, contract, report, gate, job, uri, digest))
    assert back.made_contract() == version.made_contract()
    assert replace(back, contract=version.contract) == version


def test_a_promotion_archives_the_previous_version() -> None:
    archive, put = promote("churn", "1.1")
    assert (archive.binds, put.binds) == (("churn", "1.1"), ("churn", "1.1"))
    assert "STAGE = 'production' AND VERSION <> ?" in archive.text


def test_no_table_means_no_versions() -> None:
    assert versions_of("churn", FakeWarehouse({"SELECT": NotFound("no such table")})) == []


class Registry(FakeWarehouse):
    """``ML.MODEL_REGISTRY`` in memory. ``before_write``: called before a row is written."""

    def __init__(self) -> None:
        self.stored: list[tuple[Any, ...]] = []
        self.before_write: Callable[[], object] = lambda: None
        super().__init__({"SELECT MODEL, VERSION": lambda _: Table((), list(self.stored)), "MERGE INTO": self._write})

    def _write(self, statement: Statement) -> Table:
        self.before_write()
        binds = statement.binds
        if binds[2] not in [row[2] for row in self.stored]:
            self.stored.append((*binds[:4], binds[6], *binds[8:]))
        return Table((), [])


ARCHIVE = churn.archive(contract=churn.CONTRACT.to_dict(), report=churn.report())


def register(warehouse: FakeWarehouse, store: FakeStore, run: Run = churn.RUN) -> RegisteredVersion:
    return run_registry(churn.PIPELINE, run, churn.trained(), churn.CONTRACT, warehouse, store, churn.BUCKET)


def test_registering_writes_the_version_once() -> None:
    store, warehouse = FakeStore({URI: ARCHIVE}), Registry()
    version = register(warehouse, store)
    assert version.artifact_sha256 == hashlib.sha256(ARCHIVE).hexdigest()
    assert [text.split()[0] for text in warehouse.texts] == ["CREATE", "CREATE", "SELECT", "MERGE", "SELECT"]
    again = register(warehouse, store)
    assert [text.split()[0] for text in warehouse.texts[5:]] == ["CREATE", "CREATE", "SELECT"]
    assert (again.version, again.artifact_sha256) == (version.version, version.artifact_sha256)


def test_two_runs_that_register_at_the_same_time_get_different_numbers() -> None:
    """The second run reads the registry before the first one has written its row."""
    store, warehouse = FakeStore({URI: ARCHIVE}), Registry()
    other = replace(churn.RUN, id="19980708-0a1b2c3d")

    def register_other() -> None:
        warehouse.before_write = lambda: None
        assert register(warehouse, store, other).version == "1.1"

    warehouse.before_write = register_other
    assert register(warehouse, store).version == "1.0"
    assert sorted(row[1] for row in warehouse.stored) == ["1.0", "1.1"]


def test_one_run_in_two_processes_registers_one_version() -> None:
    store, warehouse = FakeStore({URI: ARCHIVE}), Registry()

    def register_again() -> None:
        warehouse.before_write = lambda: None
        assert register(warehouse, store).version == "1.0"

    warehouse.before_write = register_again
    assert register(warehouse, store).version == "1.0"
    assert len(warehouse.stored) == 1


def claimed(store: FakeStore, version: str, run: str, contract: Contract = churn.CONTRACT) -> str:
    """The number that run ``run`` gets after ``version`` in the registry."""
    existing = [churn.registered(version=version, run_id="before")] if version else []
    mine = churn.registered(run_id=run, contract=contract.to_dict())
    return claim_number(store, churn.BUCKET, mine, existing).version


def test_a_number_belongs_to_the_run_that_claims_it_first() -> None:
    store = FakeStore()
    assert [claimed(store, "1.4", run) for run in ("a", "b", "a", "b")] == ["1.5", "1.6", "1.5", "1.6"]
    assert claimed(store, "1.4", "c", OTHER) == "2.0"
    assert claimed(store, "1.4", "d", OTHER) == "2.1"
    assert claimed(store, "1.4", "e") == "1.7"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff"])
def test_a_damaged_claim_is_another_runs(body: bytes) -> None:
    store = FakeStore({f"s3://{churn.BUCKET}/churn/versions/1.0.json": body})
    assert claimed(store, "", "a") == "2.0"


def test_a_claim_whose_writer_failed_is_tried_again() -> None:
    class Conflicting(FakeStore):
        refusals = 2

        def replace(self, uri: str, body: bytes, etag: str | None) -> str | None:
            self.refusals -= 1
            return super().replace(uri, body, etag) if self.refusals < 0 else None

    assert claimed(Conflicting(), "", "a") == "1.0"


# --- the artefact -------------------------------------------------------------------------------------------------------


def test_an_artefact_is_unpacked_only_while_it_is_open() -> None:
    body = churn.archive(report={"a": 1})
    with fetched(FakeStore({URI: body}), URI, hashlib.sha256(body).hexdigest()) as artifact:
        assert artifact.json("report.json") == {"a": 1}
        folder = artifact.folder
        assert folder.is_dir()
    assert not folder.exists()


def test_the_error_names_a_file_that_the_artefact_lacks() -> None:
    with (
        fetched(FakeStore({URI: churn.archive(report={})}), URI) as artifact,
        pytest.raises(PermanentError, match=r"holds no contract\.json"),
    ):
        artifact.json("contract.json")


def test_a_changed_artefact_is_rejected_before_it_is_unpacked() -> None:
    # The body is not an archive, so opening it would raise another error.
    with (
        pytest.raises(
            PermanentError, match=r"is not what was registered: its SHA-256 is [0-9a-f]{12}…, the registry says"
        ),
        fetched(FakeStore({URI: b"no archive"}), URI, "ab" * 32),
    ):
        pytest.fail("it was opened")


def hostile(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as tar:
        item = tarfile.TarInfo(name)
        item.type, item.linkname = kind, link
        item.pax_headers = {"path": name}  # the plain header ends a name at its first zero byte
        item.size = 4 if kind == tarfile.REGTYPE else 0
        tar.addfile(item, io.BytesIO(b"evil"))
    return body.getvalue()


HOSTILE = [
    pytest.param(hostile("../../snowsage-evil"), id="parent"),
    pytest.param(hostile("model/../../snowsage-evil"), id="parent inside"),
    pytest.param(hostile("link", tarfile.SYMTYPE, "/etc/passwd"), id="absolute link"),
    pytest.param(hostile("link", tarfile.SYMTYPE, "../../x"), id="link to a parent"),
    pytest.param(hostile("link", tarfile.LNKTYPE, "../../x"), id="hard link to a parent"),
    pytest.param(hostile("link", tarfile.SYMTYPE, "model.json"), id="link inside"),
    pytest.param(hostile("/snowsage-evil"), id="absolute"),
    pytest.param(hostile("device", tarfile.CHRTYPE), id="device"),
    pytest.param(hostile("pipe", tarfile.FIFOTYPE), id="pipe"),
    pytest.param(hostile("x" * 300), id="a name that no file system accepts"),
    pytest.param(hostile("a\0b"), id="a zero byte"),
    pytest.param(hostile("a", tarfile.DIRTYPE)[:30], id="truncated"),
    pytest.param(hostile("a")[:20] + b"\xff" * 40 + hostile("a")[60:], id="damaged"),
]


@pytest.mark.parametrize("body", HOSTILE)
def test_an_artefact_cannot_write_outside_its_folder(
    body: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(inner))
    with pytest.raises(PermanentError, match="cannot be unpacked"), fetched(FakeStore({URI: body}), URI):
        pytest.fail("it was opened")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_name_of_both_a_file_and_a_directory_is_rejected(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("a", "a/b"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ArchiveError, match="exists"):
        unpack(archive, tmp_path / "model")


def test_a_file_that_is_no_archive_is_rejected_with_one_sentence() -> None:
    body = b"no archive"
    with (
        pytest.raises(PermanentError, match="cannot be unpacked"),
        fetched(FakeStore({URI: body}), URI),
    ):
        pytest.fail("it was opened")
