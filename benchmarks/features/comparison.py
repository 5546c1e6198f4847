"""Whether two engines computed the same: counts exactly, floats to a relative difference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb


def differences(
    expected: Path, found: Path, key: str, exact: Sequence[str], floats: Sequence[str], tolerance: float
) -> list[str]:
    """A sentence for each column that differs in two Parquet files, and for rows that one of them lacks; empty if there is none."""
    wrong = {name: f"a.{name} IS DISTINCT FROM b.{name}" for name in exact}
    wrong |= {
        name: f"(a.{name} IS NULL) <> (b.{name} IS NULL) OR "
        f"abs(a.{name}::DOUBLE - b.{name}::DOUBLE) > {tolerance} * greatest(abs(a.{name}::DOUBLE), abs(b.{name}::DOUBLE))"
        for name in floats
    }
    counted = ", ".join(f"count(*) FILTER (both_have AND ({condition}))" for condition in wrong.values())
    with duckdb.connect() as duck:
        [(alone, *counts)] = duck.execute(
            f"""SELECT count(*) FILTER (NOT both_have), {counted} FROM (
                SELECT a, b, a.{key} IS NOT NULL AND b.{key} IS NOT NULL AS both_have
                FROM read_parquet(?) AS a FULL JOIN read_parquet(?) AS b ON a.{key} = b.{key}
            )""",
            [str(expected), str(found)],
        ).fetchall()
    missing = [f"{alone:,} rows are in one result only"] if alone else []
    return missing + [f"{name} differs in {count:,} rows" for name, count in zip(wrong, counts, strict=True) if count]
