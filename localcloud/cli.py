"""The command line of the local cloud: ``up``, ``env`` and ``faults``."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Annotated

import typer

from localcloud import log
from localcloud.errors import LocalCloudError
from localcloud.faults.commands import faults
from localcloud.state import DEFAULT, exports, read_environment

cli = typer.Typer(
    name="localcloud",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="A Snowflake and an AWS on this machine, for development and tests.",
)
cli.add_typer(faults, name="faults")

_State = Annotated[Path, typer.Option("--state", help="Folder for key, connection file, jobs and endpoints.")]


@cli.command()
def up(
    state: _State = DEFAULT,
    snowflake_port: Annotated[int, typer.Option(help="Port of the local Snowflake; 0 takes a free one.")] = 0,
    aws_port: Annotated[int, typer.Option(help="Port of the local AWS; 0 takes a free one.")] = 0,
    gateway_port: Annotated[int, typer.Option(help="Port of the local API gateway; 0 takes a free one.")] = 0,
    gateway_backend: Annotated[
        str, typer.Option(help="URL of a service; starts an API gateway in front of it, for external functions.")
    ] = "",
    database: Annotated[str, typer.Option(help="Database that exists in Snowflake at the start.")] = "LOCAL",
    keep: Annotated[
        bool, typer.Option(help="Save what the clouds hold when they stop, and restore what was saved here.")
    ] = True,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what was saved here.")] = False,
    log_level: Annotated[str, typer.Option(help="Lowest level to log: debug, info, warning or error.")] = "warning",
) -> None:
    """Start both clouds and run until Ctrl-C."""
    from localcloud.cloud import Gateway, LocalCloud, Ports

    log.configure(log_level)
    gateway = Gateway(gateway_backend) if gateway_backend else None
    ports = Ports(snowflake_port, aws_port, gateway_port)
    with LocalCloud(state, ports, gateway=gateway, database=database, keep=keep, fresh=fresh) as cloud:
        name = cloud.environment["SNOWFLAKE_DEFAULT_CONNECTION_NAME"]
        typer.echo(f"Snowflake  connection {name} in {cloud.state}/connections.toml")
        typer.echo(f"AWS        {cloud.environment['AWS_ENDPOINT_URL']}")
        if cloud.gateway_url:
            typer.echo(f"gateway    {cloud.gateway_url}")
        typer.echo(f"\nIn another shell:\n  source {cloud.state}/env.sh\n\n{stop_hint(keep)}")
        sys.stdout.flush()
        wait_for_signal()


@cli.command()
def env(state: _State = DEFAULT) -> None:
    """Print what a shell needs to connect: `eval "$(localcloud env)"`."""
    typer.echo(exports(read_environment(state)), nl=False)


def stop_hint(keep: bool) -> str:
    """What Ctrl-C does."""
    kept = "what the clouds hold is kept for the next start; --fresh forgets it" if keep else "nothing is kept"
    return f"Ctrl-C stops everything; {kept}."


def wait_for_signal() -> None:
    """Return after SIGINT or SIGTERM."""
    caught = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: caught.set())
    # The system may deliver a signal to any thread, and Python's handler runs only when the main thread wakes.
    while not caught.wait(0.2):
        pass


def run() -> int:
    """Run the command line and return its exit code. Expected errors are printed as one sentence to standard error."""
    try:
        code = cli(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except LocalCloudError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except typer.Exit as left:
        return left.exit_code
    except Exception as error:
        # typer has its own copy of click's error classes, so usage errors are recognised by their attributes.
        if hasattr(error, "show") and hasattr(error, "format_message"):
            error.show()
            return 2
        traceback.print_exc()
        return 1
