"""The limit on a query's rows, and sampling by name."""

from __future__ import annotations

from contextlib import suppress

import pytest

from app.errors import CallerError, TransientError
from app.serve.admission.query_quota import QueryCapExceeded, QueryQuota
from app.serve.sampling import sampled
from tests.unit.serve.fakes import status_of


def scored(rows: QueryQuota, query_id: str, count: int) -> bool:
    try:
        with rows.reserved(query_id, count):
            return True
    except CallerError:
        return False


def test_the_error_names_the_limit_and_is_not_retried() -> None:
    with pytest.raises(CallerError, match=r"more than 10 rows to score.*SNOWSAGE_MAX_QUERY_ROWS") as caught:
        QueryQuota(10).reserved("q1", 11).__enter__()
    assert status_of(caught.value) == 400


def test_a_query_ends_at_the_limit_and_others_continue() -> None:
    rows = QueryQuota(10)
    assert [scored(rows, "q1", 6), scored(rows, "q1", 5), scored(rows, "q1", 4), scored(rows, "q1", 1)] == [
        True,
        False,
        True,
        False,
    ]
    assert scored(rows, "q2", 10)
    assert scored(rows, "", 1000)


def test_only_scored_rows_count() -> None:
    rows = QueryQuota(10)
    for _ in range(3):
        with suppress(TransientError), rows.reserved("q1", 8):
            assert not scored(rows, "q1", 8)  # a batch in progress counts
            raise TransientError("the endpoint is busy")
    assert scored(rows, "q1", 8)


def test_without_a_limit_nothing_is_remembered() -> None:
    rows = QueryQuota(0)
    with rows.reserved("q1", 10**9):
        assert not rows._rows


def test_the_number_of_remembered_queries_is_bounded() -> None:
    rows = QueryQuota(10, kept=3)
    for number in range(100):
        assert scored(rows, f"q{number}", 10)
    assert list(rows._rows) == ["q97", "q98", "q99"]
    with rows.reserved("q98", 0):
        for number in range(4):
            assert scored(rows, f"new{number}", 1)
    assert len(rows._rows) == 3


def test_sampling_is_by_name_and_a_larger_share_includes_the_smaller() -> None:
    names = [f"batch-{number}".encode() for number in range(10_000)]
    few, more = ({name for name in names if sampled(name, share)} for share in (0.1, 0.3))
    assert few < more
    assert 800 < len(few) < 1200
    assert 2700 < len(more) < 3300
    assert not any(sampled(name, 0.0) for name in names)
    assert all(sampled(name, 1.0) for name in names)
    assert sampled(b"", 1.0)
    assert not sampled(b"", 0.0)


def test_a_query_of_another_caller_is_another_query() -> None:
    rows = QueryQuota(10)
    with rows.reserved("q", 10, "shop"):
        pass
    with rows.reserved("q", 10, "gateway"):
        pass
    with pytest.raises(QueryCapExceeded), rows.reserved("q", 1, "shop"):
        pass
