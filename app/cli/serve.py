"""``serve``: the online service, its workers, and its API keys."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app import log, settings
from app.cli.exit_codes import error_kind

group = typer.Typer(no_args_is_help=False)


@group.callback(invoke_without_command=True)
def serve(context: typer.Context) -> None:
    """Run the online service for Snowflake's external functions and HTTP clients. Settings come from SNOWSAGE_*.

    SNOWSAGE_WORKERS is the number of worker processes: 1 by default, `auto` for one per core. The log says where the service
    listens, which models it serves, and each request; it is text in a terminal and JSON otherwise.
    """
    if context.invoked_subcommand is not None:
        return
    _configure_log()
    from app.serve.process.cpu import usable_cores
    from app.serve.process.server import serve as serve_forever
    from app.wiring import make_service, make_supervisor

    chosen = settings.read(settings.ServeSettings)
    count = chosen.workers or usable_cores()
    if count == 1:
        serve_forever(*make_service())
    else:
        command = [sys.executable, *sys.orig_argv[1:], "worker"]
        make_supervisor(chosen, count, command, error_kind).run()


def _configure_log() -> None:
    """Log requests by default: as text in a terminal, else as JSON."""
    chosen = settings.read(settings.LogSettings)
    log.configure(chosen.log_level or "info", chosen.log_format or ("text" if sys.stderr.isatty() else "json"))


@group.command("worker", hidden=True)
def serve_worker(config: Annotated[str, typer.Argument(help="JSON that the supervisor passes.")]) -> None:
    """Run one of several worker processes; `snowsage serve` starts it."""
    from app.serve.process.worker import work
    from app.serve.process.worker_config import WorkerConfig
    from app.wiring import make_service

    _configure_log()
    worker = WorkerConfig.from_json(config)
    log.always(worker=worker.number)
    work(*make_service(worker), worker)


@group.command("key")
def serve_key(
    name: Annotated[str, typer.Argument(help="Owner of the key; shown in logs and metrics.", show_default=False)],
    scope: Annotated[
        list[str], typer.Option(help="What the key allows: predict, read (metadata, metrics), run. May be repeated.")
    ] = ["predict"],  # noqa: B006  # typer reads it and changes nothing
) -> None:
    """Make an API key. It is shown once; the service stores only its digest."""
    from app.serve.security.api_keys import make_key

    key, known = make_key(name, scope)
    typer.echo(f"key for {name}, not shown again:\n  {key}\n")
    typer.echo(f"line for SNOWSAGE_API_KEYS, or for the file that SNOWSAGE_API_KEYS_FILE names:\n  {known.line}")
