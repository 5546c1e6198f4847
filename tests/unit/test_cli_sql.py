"""``snowsage sql``: where statements come from, and errors before anything is connected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import run_command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "there is no statement to run"),
        (("",), "there is no statement to run"),
        (("; -- nothing\n;",), "there is no statement to run"),
        (("SELECT 1", "--format", "xml"), "--format: xml is unknown; write auto, table, vertical, csv or json"),
        (("SELECT 1", "-f", "x.sql"), "as an argument or with --file, not both"),
        (("-f", "no/such.sql"), "no/such.sql cannot be read: No such file or directory"),
        (("-f", "tests"), "tests cannot be read: Is a directory"),
        (("SELECT 1", "--rows", "-1"), "Invalid value for '--rows'"),
        (("SELECT 1",), "no Snowflake connection is configured"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    done = run_command({}, "sql", *arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_file_of_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_bytes(b"SELECT '\xff'")
    done = run_command({}, "sql", "-f", str(tmp_path / "a.sql"))
    assert done.returncode == 2
    assert "a.sql is not UTF-8 text: byte 8" in done.stderr
