"""The command line: one verb a stage, and the few commands around them.

The one place, with the service's, where errors become what the caller sees: a sentence on standard error and an exit code, never a
traceback for a mistake of the user's.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from app import log, settings
from app.errors import SnowsageError

cli = typer.Typer(
    name="snowsage",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="From Snowflake tables to SageMaker models to scores in SQL, by one pipeline file.\n\n"
    "Begin with `snowsage demo`. PIPELINE is a folder with a pipeline.yaml, such as examples/churn.",
)
local = typer.Typer(no_args_is_help=True, help="Snowflake and AWS on this machine, for trying and developing.")
infra = typer.Typer(no_args_is_help=True, help="The infrastructure of both accounts.")
cli.add_typer(local, name="local")
service = typer.Typer(no_args_is_help=False)
cli.add_typer(service, name="serve")
cli.add_typer(infra, name="infra")

Folder = Annotated[Path, typer.Argument(metavar="PIPELINE", help="Folder with a pipeline.yaml.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
On = Annotated[
    datetime | None,
    typer.Option("--date", formats=["%Y-%m-%d"], help="Logical date; left out, the pipeline's own or today (UTC)."),
]
# How often a waiting command looks whether it was told to end.
_SIGNAL_POLL_S = 0.2
State = Annotated[Path, typer.Option("--state", help="Folder for key, connection file, jobs and endpoints.")]

_STATE = Path(".snowsage/local")


@cli.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave clouds and service running until Ctrl-C.")] = False,
    state: State = Path(".snowsage/demo"),
) -> None:
    """See it all: both clouds on this machine, the churn example through every stage, scores in SQL."""
    from app.sandbox.errors import local_cloud

    with local_cloud():
        from app.sandbox.demo import run_demo

        run_demo(state, keep)


@local.command("up")
def local_up(
    pipelines: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PIPELINE]...", help="Pipelines whose seeds are loaded.", show_default=False),
    ] = None,
    state: State = _STATE,
    snowflake_port: Annotated[int, typer.Option(help="Port of the local Snowflake; 0 takes a free one.")] = 0,
    aws_port: Annotated[int, typer.Option(help="Port of the local AWS; 0 takes a free one.")] = 0,
    gateway_port: Annotated[int, typer.Option(help="Port of the local API gateway; 0 takes a free one.")] = 0,
    service_port: Annotated[int, typer.Option(help="Port that `snowsage serve` will use; 0 takes a free one.")] = 0,
) -> None:
    """Start both clouds, set them up with `infra`, load seeds, and stay until Ctrl-C."""
    from app import spec
    from app.sandbox.errors import local_cloud

    files = [spec.load(folder) for folder in pipelines or []]
    with local_cloud():
        from app.sandbox.cloud import LocalCloud, Ports, set_up

        with LocalCloud(state, Ports(snowflake_port, aws_port, gateway_port, service_port)) as cloud:
            set_up(cloud, files)
            environment = cloud.environment
            typer.echo(
                f"Snowflake  connection {environment['SNOWFLAKE_CONNECTION_NAME']} in {cloud.state}/connections.toml"
            )
            typer.echo(f"AWS        {environment['AWS_ENDPOINT_URL']}")
            typer.echo(f"gateway    {environment['SNOWSAGE_GATEWAY_URL']}")
            typer.echo(
                f"\nIn another shell:\n  source {cloud.state}/env.sh\n  snowsage serve &\n  snowsage run examples/churn"
            )
            typer.echo("\nCtrl-C stops everything.")
            sys.stdout.flush()
            _wait_for_signal()


@local.command("env")
def local_env(state: State = _STATE) -> None:
    """Print what a shell needs to reach the local cloud: `eval "$(snowsage local env)"`."""
    import shlex

    from app.sandbox.errors import local_cloud

    with local_cloud():
        from app.sandbox.cloud import read_environment

        for name, value in read_environment(state).items():
            typer.echo(f"export {name}={shlex.quote(value)}")


@local.command(
    "faults",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def local_faults(context: typer.Context) -> None:
    """Let requests to the local cloud fail on purpose, to see how a program takes it."""
    from app.sandbox.errors import local_cloud

    with local_cloud():
        from localcloud.faults.commands import faults

        typer.main.get_command(faults).main(context.args, context.command_path, standalone_mode=False)


@cli.command()
def run(
    pipeline: Folder,
    first: Annotated[str, typer.Option("--from", help="First stage to run.")] = "features",
    last: Annotated[str, typer.Option("--to", help="Last stage to run.")] = "monitor",
    dry_run: DryRun = False,
    day: On = None,
    json: Json = False,
) -> None:
    """Run the stages in order. What has finished is found, not done again; a killed run continues."""
    _run(pipeline, first, last, dry_run, day, json, again=False)


def _verb(stage: str, text: str) -> None:
    def command(pipeline: Folder, dry_run: DryRun = False, day: On = None, json: Json = False) -> None:
        _run(pipeline, stage, stage, dry_run, day, json, again=True)

    command.__doc__ = (
        f"{text}\n\nThe stage is gone through again; what it made before is found where it is whole. The stages before it must "
        "have finished."
    )
    cli.command(stage)(command)


_verb("features", "Compute the views at every as-of time into FEATURE_STORE.")
_verb("export", "Unload the training set to S3 as Parquet, manifest last.")
_verb("train", "Train on SageMaker; a job of the same run is found.")
_verb("registry", "Register the trained model as a version and judge it by the gate.")
_verb("deploy", "Put the run's version live: endpoint, service, SQL functions.")
_verb("batch", "Score every entity and MERGE the scores into the prediction table.")
_verb("monitor", "Measure drift against the training rows, into ML.DRIFT.")


@service.callback(invoke_without_command=True)
def serve(context: typer.Context) -> None:
    """Run the online service: Snowflake's external functions and direct HTTP. Settings come from SNOWSAGE_*.

    SNOWSAGE_WORKERS is the number of processes that answer: 1 by default, `auto` for one a core.
    """
    if context.invoked_subcommand is not None:
        return
    from app.serve.process.cpu import usable_cores
    from app.serve.process.server import serve as serve_forever
    from app.wiring import make_service, make_supervisor

    chosen = settings.read(settings.ServeSettings)
    count = chosen.workers or usable_cores()
    if count == 1:
        serve_forever(*make_service())
    else:
        make_supervisor(chosen, count, [sys.executable, *sys.orig_argv[1:], "worker"]).run()


@service.command("worker", hidden=True)
def serve_worker(post: Annotated[str, typer.Argument(help="Its place, as the supervisor tells it.")]) -> None:
    """Answer as one of several processes; `snowsage serve` starts it."""
    from app.serve.process.worker import work
    from app.serve.process.worker_config import WorkerConfig
    from app.wiring import make_service

    place = WorkerConfig.from_json(post)
    log.always(worker=place.number)
    work(*make_service(place), place)


@service.command("key")
def serve_key(
    name: Annotated[str, typer.Argument(help="Who will use it; shown in logs and metrics.", show_default=False)],
    scope: Annotated[
        list[str], typer.Option(help="What it may do: predict, read (metadata, metrics), run. May be repeated.")
    ] = ["predict"],  # noqa: B006  # typer reads it and changes nothing
) -> None:
    """Make an API key. It is shown once; the service is told its digest alone."""
    from app.serve.security.api_keys import make_key

    key, known = make_key(name, scope)
    typer.echo(f"key, for {name}, not shown again:\n  {key}\n")
    typer.echo(f"line for SNOWSAGE_API_KEYS, or for the file that SNOWSAGE_API_KEYS_FILE names:\n  {known.line}")


@cli.command()
def sql(
    statement: Annotated[str, typer.Argument(help="One SQL statement.", show_default=False)], json: Json = False
) -> None:
    """Run one statement in Snowflake and show its answer."""
    from app import console
    from app.sql import Statement
    from app.wiring import open_warehouse

    with open_warehouse() as warehouse:
        answer = warehouse.run(Statement(statement))
    if json:
        console.print_json([dict(zip(answer.columns, row, strict=True)) for row in answer.rows])
    else:
        console.out.print(console.answer_table(answer))


@cli.command()
def versions(pipeline: Folder, json: Json = False) -> None:
    """List the model's versions, newest first, and what share of the entities each of them answers."""
    from dataclasses import asdict

    from app import console, spec
    from app.registry.run import versions_of
    from app.wiring import live_record, open_warehouse

    name = spec.load(pipeline).pipeline.name
    with open_warehouse() as warehouse:
        found = versions_of(name, warehouse)
    live = live_record(name) if found else None
    shares = live.versions if live else {}
    if json:
        console.print_json([{**asdict(item), "share": shares.get(item.version, 0.0)} for item in found])
    elif found:
        console.out.print(console.versions_table(found, shares))
    else:
        console.out.print(f"{name} has no version yet; `snowsage run {pipeline}` makes the first")


@cli.command()
def promote(
    pipeline: Folder,
    version: Annotated[str, typer.Argument(help="A version that passed its gate, such as 1.1.", show_default=False)],
    share: Annotated[
        str,
        typer.Option(
            help="Part of the entities that it answers beside the live version, such as 10% or 0.1; left out, it answers all."
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Put a registered version live; with --share beside the live one, as an experiment.

    Which version answers is told by a hash of the entity's key. `promote` without --share ends an experiment in the version's
    favour, `rollback` in favour of the one that was live before.
    """
    from app import promotion
    from app.deploy.experiment import parse_share

    part = parse_share(share) if share else None
    with _changing(pipeline, "promote") as (file, world, tell):
        done = promotion.promote(file, world, version, part, tell)
    _show_change(done, json)


@cli.command()
def rollback(pipeline: Folder, json: Json = False) -> None:
    """End an experiment, or put the version live again that was before the live one."""
    from app import promotion

    with _changing(pipeline, "rollback") as (file, world, tell):
        done = promotion.rollback(file, world, tell)
    _show_change(done, json)


@infra.command("render")
def infra_render(
    output: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("build/infra"),
    bucket: Annotated[str, typer.Option(help="Bucket that Snowflake and SageMaker share.")] = "snowsage-lake",
    storage_role_arn: Annotated[
        str, typer.Option(help="The stack's output StorageRoleArn.")
    ] = "arn:aws:iam::ACCOUNT:role/snowsage-snowflake-storage",
    api_role_arn: Annotated[
        str, typer.Option(help="The stack's output ApiRoleArn.")
    ] = "arn:aws:iam::ACCOUNT:role/snowsage-snowflake-api",
    gateway_url: Annotated[
        str, typer.Option(help="API Gateway's stage URL.")
    ] = "https://API.execute-api.REGION.amazonaws.com/prod",
    database: Annotated[str, typer.Option(help="Snowflake database.")] = "SNOWSAGE",
) -> None:
    """Write Snowflake's SQL and AWS's CloudFormation, and a README that says in which order to use them."""
    from app.infra import InfraValues, write

    values = InfraValues(bucket, storage_role_arn, api_role_arn, gateway_url, database)
    for path in write(values, output):
        typer.echo(path)


@contextmanager
def _changing(folder: Path, verb: str) -> Iterator[tuple[Any, Any, Callable[[str], None]]]:
    """(pipeline file, world, teller) while what is live is changed."""
    from app import console, spec
    from app.wiring import open_world

    file, progress = spec.load(folder), console.ConsoleProgress()
    with open_world() as world:
        progress.begin(verb)
        try:
            yield file, world, progress.tell
        finally:
            progress.stop()


def _show_change(done: Any, json: bool) -> None:
    from dataclasses import asdict

    from app import console

    if json:
        console.print_json(asdict(done))
    else:
        console.out.print(console.changed(done), markup=False)


def _run(folder: Path, first: str, last: str, dry_run: bool, day: datetime | None, json: bool, again: bool) -> None:
    from app import console, spec
    from app.pipeline import Context, look_up_run, run_stages, stages_between
    from app.wiring import open_world

    stages_between(first, last)
    file = spec.load(folder)
    for note in file.not_yet:
        console.err.print(f"[yellow]note:[/yellow] {note}", soft_wrap=True)
    with open_world() as world:
        with console.working("looking at the sources"):
            found = look_up_run(file, world.warehouse, day.date() if day else None)
        context = Context(file, found, world)
        if dry_run:
            _show_plan(context, first, last, again, json)
            return
        console.err.print(f"run {found.id} of {found.pipeline}, looking back from {found.logical_date}")
        progress = console.ConsoleProgress()
        try:
            finished = run_stages(context, progress, first, last, again)
        finally:
            progress.stop()
    if json:
        console.print_json(console.finished_json(finished))
    elif len(finished) > 1:
        console.out.print(console.stages_table(finished))


def _show_plan(context: Any, first: str, last: str, again: bool, json: bool) -> None:
    from app import console
    from app.dry_run import explain

    plans = explain(context, first, last, again)
    if json:
        console.print_json(plans)
        return
    for stage, lines in plans.items():
        console.out.print(f"\n[bold]{stage}[/bold]")
        for line in lines:
            console.out.print("\n".join(f"  {part}" for part in line.splitlines()), markup=False, soft_wrap=True)
    console.out.print("\nNothing was changed.")


def _wait_for_signal() -> None:
    caught: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: caught.append(number))
    while not caught:
        # The system may hand a signal to any thread, and Python's handler runs only when the main thread wakes.
        time.sleep(_SIGNAL_POLL_S)


def main() -> None:
    """Run a command; errors become a sentence and an exit code."""
    sys.exit(_guarded(lambda: cli(standalone_mode=False)))


def _guarded(command: Callable[[], Any]) -> int:
    try:
        chosen = settings.read(settings.LogSettings)
        log.configure(chosen.log_level, chosen.log_format)
        for warning in settings.warnings_for(dict(os.environ)):
            print(f"warning: {warning}", file=sys.stderr)  # noqa: T201
        code = command()
        return code if isinstance(code, int) else 0
    except SnowsageError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except typer.Exit as left:
        return left.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print("stopped; start the same command again to continue", file=sys.stderr)  # noqa: T201
        return 130
    except Exception as error:
        if _is_usage_error(error):
            error.show()  # type: ignore[attr-defined]
            return 2
        traceback.print_exc()
        print("error: this is a fault of snowsage's; please report it with the lines above", file=sys.stderr)  # noqa: T201
        return 1


def _is_usage_error(error: Exception) -> bool:
    """Whether the command line itself is wrong. Told by shape: typer carries its own copy of click's error classes."""
    return hasattr(error, "show") and hasattr(error, "format_message")


if __name__ == "__main__":
    main()
