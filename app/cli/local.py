"""``local``: Snowflake and AWS on this machine.

The local cloud is an optional installation, so each command imports it when it runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import State
from app.sandbox.errors import local_cloud

group = typer.Typer(no_args_is_help=True, help="Snowflake and AWS on this machine, for trials and development.")

_STATE = Path(".snowsage/local")
_MADE = "database SNOWSAGE with RAW, FEATURE_STORE, ML and ANALYTICS; bucket, roles and integrations of infra/"


@group.command("up")
def up(
    pipelines: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PIPELINE]...", help="Pipelines whose seeds are loaded.", show_default=False),
    ] = None,
    state: State = _STATE,
    snowflake_port: Annotated[int, typer.Option(help="Port of the local Snowflake; 0 takes a free one.")] = 0,
    aws_port: Annotated[int, typer.Option(help="Port of the local AWS; 0 takes a free one.")] = 0,
    gateway_port: Annotated[int, typer.Option(help="Port of the local API gateway; 0 takes a free one.")] = 0,
    service_port: Annotated[int, typer.Option(help="Port that `snowsage serve` will use; 0 takes a free one.")] = 0,
    keep: Annotated[
        bool, typer.Option(help="Save what the clouds hold when they stop, and restore what was saved here.")
    ] = True,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what was saved here.")] = False,
) -> None:
    """Start both clouds, set them up with `infra`, load seeds, and run until Ctrl-C.

    Tables, functions, S3 objects and endpoints are kept for the next start, unless --fresh forgets them.
    """
    from app import spec

    files = [spec.load(folder) for folder in pipelines or []]
    with local_cloud():
        from app.sandbox.cloud import product_cloud, set_up
        from localcloud.cli import stop_hint, wait_for_signal
        from localcloud.cloud import Ports

        ports = Ports(snowflake_port, aws_port, gateway_port)
        with product_cloud(state, ports, service_port, keep=keep, fresh=fresh) as cloud:
            seeded = set_up(cloud, files)
            environment = cloud.environment
            typer.echo(
                f"Snowflake  connection {environment['SNOWFLAKE_CONNECTION_NAME']} in {cloud.state}/connections.toml"
            )
            typer.echo(f"AWS        {environment['AWS_ENDPOINT_URL']}")
            typer.echo(f"gateway    {environment['SNOWSAGE_GATEWAY_URL']}")
            typer.echo(f"made       {_MADE}")
            for table in seeded:
                typer.echo(f"{'kept' if table.kept else 'loaded':<10} {table.table}, {table.rows:,} rows")
            pipeline = pipelines[0] if pipelines else Path("examples/churn")
            typer.echo(
                f"\nIn another shell:\n  source {cloud.state}/env.sh\n  snowsage serve &\n  snowsage run {pipeline}"
            )
            typer.echo(f"\n{stop_hint(keep)}")
            sys.stdout.flush()
            wait_for_signal()


@group.command("env")
def env(state: State = _STATE) -> None:
    """Print the environment of the local cloud for a shell: `eval "$(snowsage local env)"`."""
    with local_cloud():
        from localcloud.state import exports, read_environment

        typer.echo(exports(read_environment(state, "snowsage local up")), nl=False)


@group.command(
    "faults",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def faults(context: typer.Context) -> None:
    """Make requests to the local cloud fail on purpose, to test how a program handles it."""
    with local_cloud():
        from localcloud.faults.commands import faults as commands

        group = typer.main.get_group(commands)
        # Each command uses the product's state folder by default.
        defaults = {name: {"state": _STATE} for name in group.commands}
        group.main(context.args, context.command_path, standalone_mode=False, default_map=defaults)
