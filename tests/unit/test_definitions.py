"""``snowsage validate``: the files that a pipeline names, checked without Snowflake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app import spec
from app.spec.definitions import check_definitions
from tests.support.commands import run_command
from tests.unit import churn
from tests.unit.snapshot import snapshot


def faults(folder: Path, text: str, define: str = "") -> list[str]:
    """The faults of a pipeline whose view is ``text``, without the folder's name."""
    name = define.partition(":")[0] or "features.sql"
    (folder / name).write_text(text)
    file = spec.load(snapshot(folder, "define: features.sql", f'define: "{define}"') if define else folder)
    return [fault.replace(f"{folder}/", "") for fault in check_definitions(file)]


def test_the_example_has_no_faults() -> None:
    assert check_definitions(churn.FILE) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "features.sql: a view is one query; the file has 0 statements"),
        ("SELECT 1 FROM telco; SELECT 2", "features.sql: a view is one query; the file has 2 statements"),
        ("\n-- x\nDELETE FROM telco", "features.sql:3: a view is a query; it begins with SELECT or WITH"),
        ("SELECT * FROM RAW.OTHER", "features.sql:1: the query reads no source; the pipeline's sources are telco"),
    ],
)
def test_a_fault_of_a_sql_file_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    snapshot(tmp_path)
    assert faults(tmp_path, text) == [said]


@pytest.mark.parametrize("text", ["SELECT * FROM telco;", "with a as (select * from TELCO) select * from a -- end"])
def test_one_query_over_a_source_has_no_fault(tmp_path: Path, text: str) -> None:
    snapshot(tmp_path)
    assert faults(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = = 1", "views.py:1: this is not Python: invalid syntax"),
        ("def rowz(sources, as_of): ...", "views.py: there is no function rows; did you mean rowz?"),
        ("import json", "views.py: there is no function rows; define it as `def rows(sources, as_of): ...`"),
        ("\ndef rows(sources): ...", "views.py:2: rows must take two arguments: `def rows(sources, as_of): ...`"),
        ("def rows(a, b, c): ...", "views.py:1: rows must take two arguments: `def rows(sources, as_of): ...`"),
        ("def rows(a, b, *, c): ...", "views.py:1: rows must take two arguments: `def rows(sources, as_of): ...`"),
    ],
)
def test_a_fault_of_a_python_file_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert faults(tmp_path, text, "views.py:rows") == [said]


@pytest.mark.parametrize(
    "text",
    [
        "def rows(sources, as_of): ...",
        "def rows(sources, as_of, days=3): ...",
        "def rows(*given): ...",
        "from other import rows",
        "rows = lambda sources, as_of: None",
        "if True:\n    def rows(sources, as_of): ...",
    ],
)
def test_functions_are_found_however_they_are_defined(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text, "views.py:rows") == []


def test_a_valid_pipeline_is_described_in_a_sentence(tmp_path: Path) -> None:
    done = run_command({}, "validate", str(snapshot(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert "telco is valid: 1 view of telco; label CHURN at one as-of time, split by entity" in done.stdout
    done = run_command({}, "validate", "examples/churn", "--json")
    assert json.loads(done.stdout) == {"pipeline": "churn", "notes": []}


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    snapshot(tmp_path)
    (tmp_path / "features.sql").write_text("")
    (tmp_path / "label.sql").write_bytes(b"\xff")
    done = run_command({}, "validate", str(tmp_path))
    assert done.returncode == 2
    assert "features.sql: a view is one query" in done.stderr
    assert "label.sql: this is not UTF-8 text: byte 0" in done.stderr
