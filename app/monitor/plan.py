"""Decides the drift measurement: one statement, computed in the warehouse.

The population stability index of a feature is the sum over bins of (actual - expected) * ln(actual / expected). The bins were
frozen at training time (``baseline.json``): deciles of a number, the declared values of a category, and one for NULL. Rules of
thumb: below 0.1 nothing moved, above 0.2 or 0.25 much did (the threshold is the pipeline's).

Shares below 0.0001 count as 0.0001, since an empty bin would make the logarithm infinite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.features.training_set import FeatureSet, scoring_query
from app.registry.versions import RegisteredVersion
from app.runs.identity import Run
from app.sql import Name, Statement, identifier

DRIFT = Name.of("ML", "DRIFT")

CREATE = Statement(
    f"""CREATE TABLE IF NOT EXISTS {DRIFT.sql} (
    RUN_ID VARCHAR NOT NULL, MODEL VARCHAR NOT NULL, VERSION VARCHAR NOT NULL, FEATURE VARCHAR NOT NULL,
    AS_OF TIMESTAMP_NTZ NOT NULL, PSI FLOAT NOT NULL, ROW_COUNT NUMBER NOT NULL, THRESHOLD FLOAT NOT NULL,
    DRIFTED BOOLEAN NOT NULL, MEASURED_AT TIMESTAMP_NTZ NOT NULL
)"""
)

#: Smallest share of a bin; the usual substitute for an empty one.
LEAST_SHARE = 0.0001

#: The bin of NULLs; the others count from 0.
NULL_BIN = -1


@dataclass(frozen=True)
class MonitorPlan:
    """Replace this run's rows in ML.DRIFT, then read them."""

    write: tuple[Statement, ...]
    read: Statement
    threshold: float


def plan_monitor(
    run: Run,
    features: FeatureSet,
    version: RegisteredVersion,
    baseline: Mapping[str, Any],
    threshold: float,
    at: datetime,
) -> MonitorPlan:
    """Compare the rows at the run's logical date with the rows the version was trained on."""
    identity = (run.id, version.model, version.version)
    where = "RUN_ID = ? AND MODEL = ? AND VERSION = ?"
    return MonitorPlan(
        write=(
            Statement(f"DELETE FROM {DRIFT.sql} WHERE {where}", identity),
            _insert(features, baseline, identity, threshold, at),
        ),
        read=Statement(
            f"SELECT FEATURE, PSI, ROW_COUNT, DRIFTED FROM {DRIFT.sql} WHERE {where} ORDER BY PSI DESC, FEATURE",
            identity,
        ),
        threshold=threshold,
    )


def _insert(
    features: FeatureSet, baseline: Mapping[str, Any], identity: tuple[str, ...], threshold: float, at: datetime
) -> Statement:
    binned = [_binned(feature) for feature in baseline["features"]]
    expected = [share for feature in baseline["features"] for share in _shares(feature)]
    rows = ", ".join("(?, ?, ?)" for _ in expected)
    text = (
        f"INSERT INTO {DRIFT.sql} (RUN_ID, MODEL, VERSION, FEATURE, AS_OF, PSI, ROW_COUNT, THRESHOLD, DRIFTED, MEASURED_AT)\n"
        f"WITH recent AS (\n{scoring_query(features)}\n),\n"
        "total AS (SELECT COUNT(*)::FLOAT AS N FROM recent),\n"
        f"binned AS (\n{' UNION ALL '.join(part.text for part in binned)}\n),\n"
        "counted AS (SELECT FEATURE, BIN, COUNT(*)::FLOAT AS N FROM binned GROUP BY FEATURE, BIN),\n"
        f"expected AS (SELECT column1 AS FEATURE, column2 AS BIN, column3::FLOAT AS SHARE FROM VALUES {rows}),\n"
        "shares AS (\n"
        f"SELECT e.FEATURE, GREATEST(e.SHARE, {LEAST_SHARE}) AS EXPECTED,\n"
        f"GREATEST(COALESCE(c.N, 0) / t.N, {LEAST_SHARE}) AS ACTUAL, t.N AS N\n"
        "FROM expected AS e CROSS JOIN total AS t\n"
        "LEFT JOIN counted AS c ON c.FEATURE = e.FEATURE AND c.BIN = e.BIN\n),\n"
        "measured AS (SELECT FEATURE, SUM((ACTUAL - EXPECTED) * LN(ACTUAL / EXPECTED)) AS PSI, MAX(N) AS N "
        "FROM shares GROUP BY FEATURE)\n"
        "SELECT ?, ?, ?, FEATURE, ?::TIMESTAMP_NTZ, PSI, N, ?::FLOAT, PSI > ?::FLOAT, ?::TIMESTAMP_NTZ FROM measured"
    )
    binds = (
        *(bind for part in binned for bind in part.binds),
        *(bind for share in expected for bind in share),
        *identity,
        features.scoring_as_of,
        threshold,
        threshold,
        at,
    )
    return Statement(text, binds)


def _binned(feature: Mapping[str, Any]) -> Statement:
    """(FEATURE, BIN) of every recent row: the number of edges below the value, or the category's position."""
    column = identifier(feature["name"])
    if feature["categories"]:
        whens = " ".join(f"WHEN {column} = ? THEN {code}" for code, _ in enumerate(feature["categories"]))
        bin, binds = f"CASE {whens} ELSE {NULL_BIN} END", tuple(feature["categories"])
    else:
        above = " + ".join(f"IFF({column} > ?::FLOAT, 1, 0)" for _ in feature["edges"]) or "0"
        bin, binds = f"IFF({column} IS NULL, {NULL_BIN}, {above})", tuple(feature["edges"])
    return Statement(f"SELECT ? AS FEATURE, {bin} AS BIN FROM recent", (feature["name"], *binds))


def _shares(feature: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    """(feature, bin, share of the training rows), the bin of NULLs first."""
    shares = [(NULL_BIN, feature["null_share"]), *enumerate(feature["shares"])]
    return [(feature["name"], bin, share) for bin, share in shares]
