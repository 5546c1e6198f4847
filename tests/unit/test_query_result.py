"""Results of queries as tables that fit the terminal, one column a line, CSV and JSON."""

from __future__ import annotations

import csv
import io
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from app.cli import query_result
from app.cli.query_result import Format
from app.ports import Table

ANSWER = Table(("ID", "NAME", "SCORE"), [(1, "Ann", 0.123456789), (2, None, None), (3, 'a, "b"\nc', 2.0)])


def rendered(answer: Table, wanted: Format = Format.AUTO, width: int = 80, rows: int = query_result.SHOWN_ROWS) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(query_result.laid_out(answer, wanted, width, rows))
    return out.getvalue()


def wide(columns: int, text: str = "1234567890") -> Table:
    return Table(tuple(f"COLUMN_{at}" for at in range(columns)), [tuple(text for _ in range(columns))])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"), (0.123456789, "0.123457"), (1, "1"), ("a", "a"), (Decimal("1.50"), "1.50"), (b"\x01\xff", "01FF"),
        (date(2024, 2, 29), "2024-02-29"),
    ],
)  # fmt: skip
def test_values_are_formatted_as_text(value: object, text: str) -> None:
    assert query_result.shown(value) == text


def test_a_long_result_is_truncated_and_the_rest_is_counted() -> None:
    long = Table(("N", "[bold]X"), [(at, "[red]a[/red]") for at in range(25)])
    for layout in (Format.TABLE, Format.VERTICAL):
        shown = rendered(long, layout)
        assert "5 more rows" in shown
        assert "[bold]X" in shown
        assert "[red]a[/red]" in shown
        assert "1 more row (" in rendered(long, layout, rows=24)
        assert "more row" not in rendered(long, layout, rows=0)


def test_a_result_that_fits_is_a_table() -> None:
    shown = rendered(ANSWER)
    assert "┃ ID ┃ NAME" in shown
    assert "NULL" in shown


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("columns", [1, 3, 6, 12, 30])
def test_no_layout_is_wider_than_the_terminal_and_no_value_is_lost(width: int, columns: int) -> None:
    shown = rendered(wide(columns), width=width)
    assert all(len(line) <= width for line in shown.splitlines())
    assert shown.count("1234567890") == columns


def test_a_result_that_is_too_wide_has_one_column_a_line() -> None:
    shown = rendered(wide(12)).splitlines()
    assert shown[0] == "-- row 1 --"
    assert shown[1] == "COLUMN_0  : 1234567890"
    assert len(shown) == 13


def test_only_texts_are_folded() -> None:
    shown = rendered(Table(("N", "TEXT"), [(12345678901234567890, "word " * 30)]), width=60)
    assert "12345678901234567890" in shown
    assert "-- row" not in shown
    assert shown.count("word") == 30


def test_a_chosen_table_is_complete_in_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    query_result.show(wide(12), Format.TABLE)
    assert capsys.readouterr().out.count("1234567890") == 12


def test_without_a_terminal_no_value_is_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    query_result.show(Table(("TEXT", "N"), [("word " * 100, 1)]), Format.AUTO)
    assert "word " * 99 in capsys.readouterr().out


def test_values_of_several_lines_are_indented_in_the_vertical_layout() -> None:
    assert 'NAME  : a, "b"\n        c\n' in rendered(ANSWER, Format.VERTICAL)


def test_an_empty_result() -> None:
    empty = Table(("A", "B"), [])
    assert "no rows" in rendered(empty, Format.VERTICAL)
    assert query_result.as_csv(empty) == "A,B\n"
    assert query_result.as_objects(empty) == []


def test_csv_has_every_value_in_full_and_tells_null_from_an_empty_text() -> None:
    text = query_result.as_csv(Table(("A", "B,C"), [(0.123456789, None), ("", 'x"y\nz'), (Decimal("1.50"), b"\x00")]))
    assert text.splitlines()[:2] == ['A,"B,C"', "0.123456789,"]
    assert '\n"","x""y\nz"\n' in text
    assert list(csv.reader(io.StringIO(text)))[1:] == [["0.123456789", ""], ["", 'x"y\nz'], ["1.50", "00"]]


def test_equal_names_are_kept_apart_in_json() -> None:
    answer: Any = query_result.as_objects(Table(("N", "N", "N_2"), [(1, 2, 3)]))
    assert answer == [{"N": 1, "N_2": 2, "N_2_2": 3}]
