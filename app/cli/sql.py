"""``sql``: one statement in Snowflake."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.options import Json

group = typer.Typer()


@group.command()
def sql(
    statement: Annotated[str, typer.Argument(help="One SQL statement.", show_default=False)], json: Json = False
) -> None:
    """Run one statement in Snowflake and show its result."""
    from app.cli import console
    from app.sql import Statement
    from app.wiring import open_warehouse

    with open_warehouse() as warehouse:
        answer = warehouse.run(Statement(statement))
    if json:
        console.print_json([dict(zip(answer.columns, row, strict=True)) for row in answer.rows])
    else:
        console.out.print(console.answer_table(answer))
