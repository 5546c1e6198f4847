"""``sql``: statements in Snowflake, from the command line or a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import Json
from app.errors import CallerError, SnowsageError
from app.sql import ScriptStatement, Statement, split_script

if TYPE_CHECKING:
    from app.cli.query_result import Format
    from app.ports import Table, Warehouse

group = typer.Typer()

_FORMATS = "auto, table, vertical, csv or json"


@group.command()
def sql(
    statements: Annotated[
        str, typer.Argument(metavar="[STATEMENTS]", help="SQL statements, separated by `;`.", show_default=False)
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "-f", help="Read the statements from this file; - is standard input.", show_default=False
        ),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            "--format",
            help="How results are shown: auto (a table if it fits the terminal, else one column a line), table, vertical, csv "
            "or json.",
        ),
    ] = "auto",
    rows: Annotated[
        int, typer.Option(min=0, help="Rows of a result that are shown; 0: all. csv and json have all.")
    ] = 20,
    json: Json = False,
) -> None:
    """Run SQL in Snowflake, in one session, and show each result.

    The first statement that fails ends the command. Its error may show values of rows, since the statement is your own.
    """
    from app.cli.query_result import Format

    try:
        wanted = Format.JSON if json else Format(layout)
    except ValueError:
        raise CallerError(f"--format: {layout} is unknown; write {_FORMATS}") from None
    script = split_script(_text(statements, file))
    if not script:
        raise CallerError('there is no statement to run; write, for example, snowsage sql "SELECT 1"')

    from app.wiring import open_warehouse

    with open_warehouse(show_values=True) as warehouse:
        _run(warehouse, script, wanted, rows)


def _text(statements: str, file: Path | None) -> str:
    if file is None:
        return statements
    if statements:
        raise CallerError("write the statements as an argument or with --file, not both")
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CallerError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise CallerError(f"{file} is not UTF-8 text: byte {error.start} is no character") from None


def _run(warehouse: Warehouse, script: list[ScriptStatement], wanted: Format, rows: int) -> None:
    from app.cli import console, query_result

    answers: list[Table] = []
    for number, statement in enumerate(script, 1):
        answers.append(_answer(warehouse, statement, number, len(script)))
        if wanted is not query_result.Format.JSON:
            if number > 1:
                sys.stdout.write("\n")
            query_result.show(answers[-1], wanted, rows)
    if wanted is query_result.Format.JSON:
        objects = [query_result.as_objects(answer) for answer in answers]
        console.print_json(objects[0] if len(objects) == 1 else objects)


def _answer(warehouse: Warehouse, statement: ScriptStatement, number: int, count: int) -> Table:
    try:
        return warehouse.run(Statement(statement.text))
    except SnowsageError as error:
        if count == 1:
            raise
        raise type(error)(f"statement {number} of {count}, line {statement.line}: {error}") from error
