"""The console script ``snowsage``: assembles the command groups of ``app/cli``."""

from __future__ import annotations

import sys

import typer

from app.cli import demo, erase, features, infra, init, local, routines, run, runs, serve, sql, validate, versions
from app.cli.exit_codes import Commands, guarded

cli = typer.Typer(
    name="snowsage",
    cls=Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="From Snowflake tables to SageMaker models to scores in SQL, by one pipeline file.\n\n"
    "Begin with `snowsage demo`. PIPELINE is a folder with a pipeline.yaml, such as examples/churn.",
)
# A group without a name puts its commands at the top level.
cli.add_typer(demo.group)
cli.add_typer(init.group)
cli.add_typer(validate.group)
cli.add_typer(run.commands(without=(features.VERB,)))
cli.add_typer(features.group)
cli.add_typer(erase.group)
cli.add_typer(runs.group)
cli.add_typer(routines.group)
cli.add_typer(sql.group)
cli.add_typer(versions.group)
cli.add_typer(local.group, name="local")
cli.add_typer(serve.group, name="serve")
cli.add_typer(infra.group, name="infra")


def main() -> None:
    """Run the command line; errors become a sentence and an exit code."""
    sys.exit(guarded(lambda: cli(standalone_mode=False)))


if __name__ == "__main__":
    main()
