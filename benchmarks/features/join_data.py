"""The point-in-time join's data: rows of features by entity and time, and a spine of entities and times of their own. Seeded."""

from __future__ import annotations

from pathlib import Path

import duckdb

FIRST, STEP_DAYS = "2025-01-06", 7
FEATURES = ("f_count", "f_sum", "f_mean", "f_days", "f_share")


def make(folder: Path, entities: int, slices: int, spine: int) -> tuple[Path, Path]:
    """The two Parquet files. Every entity has a row in every slice; a spine row's time is a minute of the slices' weeks."""
    folder.mkdir(parents=True, exist_ok=True)
    features, rows = (
        folder / f"features-{entities}x{slices}.parquet",
        folder / f"spine-{entities}x{slices}-{spine}.parquet",
    )
    minutes = slices * STEP_DAYS * 24 * 60
    with duckdb.connect() as duck:
        if not features.exists():
            duck.execute(
                f"""COPY (
                    SELECT entity AS customer_id, TIMESTAMP '{FIRST}' + to_days(slice::INTEGER * {STEP_DAYS}) AS as_of,
                        ((entity * 7 + slice * 13) % 50)::BIGINT AS f_count, (entity * 31 + slice * 17) % 99991 / 100 AS f_sum,
                        (entity * 11 + slice * 19) % 9973 / 10 AS f_mean, ((entity + slice) % 400)::BIGINT AS f_days,
                        (entity * 3 + slice) % 101 / 100 AS f_share
                    FROM range({slices}) s(slice), range({entities}) e(entity)
                ) TO '{features}' (FORMAT parquet)"""
            )
        if not rows.exists():
            duck.execute(
                f"""COPY (
                    SELECT number AS row_id, (number * 7919) % {entities} AS customer_id,
                        TIMESTAMP '{FIRST}' + to_minutes((number * 104729) % {minutes}) AS as_of, number % 2 AS label
                    FROM range({spine}) r(number)
                ) TO '{rows}' (FORMAT parquet)"""
            )
    return features, rows


def differences(expected: Path, found: Path, tolerance: float) -> list[str]:
    """How two results differ: rows that only one of them holds, each as often as it does, floats rounded to the tolerance."""
    digits = 9 if tolerance <= 1e-9 else 6
    names = ("customer_id", "as_of", "label", *FEATURES)
    selected = ", ".join(
        f"{name}::TIMESTAMP AS {name}" if name == "as_of" else f"round({name}::DOUBLE, {digits}) AS {name}"
        for name in names
    )
    with duckdb.connect() as duck:
        duck.execute("SET TimeZone = 'UTC'")
        [(rows, alone)] = duck.execute(
            f"""SELECT (SELECT count(*) FROM read_parquet('{found}')), count(*) FROM (
                SELECT {selected} FROM read_parquet('{expected}') EXCEPT ALL SELECT {selected} FROM read_parquet('{found}')
            )"""
        ).fetchall()
        [(count,)] = duck.execute(f"SELECT count(*) FROM read_parquet('{expected}')").fetchall()
    wrong = [f"{rows:,} rows instead of {count:,}"] if rows != count else []
    return wrong + ([f"{alone:,} rows differ"] if alone else [])
