"""The commands ``faults add``, ``faults list`` and ``faults clear`` for a local cloud that runs in another process.

Rules are kept by the running local cloud and end with it. A program mounts :data:`faults` under its own name.
"""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from localcloud.faults.control import RemotePlan
from localcloud.faults.rules import MEANINGS, Fault, Kind
from localcloud.state import DEFAULT

_KINDS = "\n\n".join(f"- `{kind}`: {meaning}" for kind, meaning in MEANINGS.items())

# In help texts; replaced by the name under which a program mounts the commands.
_PROGRAM = "PROGRAM"


class _ProgramNamed(TyperCommand):
    """A command whose help contains :data:`_PROGRAM`."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # typer does not export click's types
        text, self.help = self.help, (self.help or "").replace(_PROGRAM, ctx.parent.command_path if ctx.parent else "")
        try:
            super().format_help(ctx, formatter)
        finally:
            self.help = text


faults = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Make requests to the local cloud fail on purpose, to test how a program handles it.",
)

_State = Annotated[Path, typer.Option("--state", help="State folder of the running local cloud.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@faults.command(
    "add",
    cls=_ProgramNamed,
    help=f"""Make requests of one OPERATION fail in one way, the KIND.

**Kinds**

{_KINDS}

**Operations**: globs, case-insensitive

- AWS: `SERVICE:OPERATION` as in IAM, such as `s3:PutObject`, `sagemaker:Create*`, `sagemaker-runtime:InvokeEndpoint`.

- Snowflake: `snowflake:query`, `snowflake:login`, the first words of a statement such as `snowflake:COPY INTO`, and
  `snowflake:external-function` for the requests that Snowflake itself sends.

- The API gateway's requests to its backend: `gateway:POST`, `gateway:GET`.

- `*`: all operations.

**Examples**

`{_PROGRAM} add s3:PutObject throttle --next 2`

`{_PROGRAM} add sagemaker-runtime:InvokeEndpoint kill --resource my-endpoint --next 1 --skip 10`

`{_PROGRAM} add 'snowflake:MERGE INTO' drop --rate 0.2 --seed 7`

`{_PROGRAM} add gateway:POST slow --seconds 31 --next 1`
""",
)
def add(
    context: typer.Context,
    operation: Annotated[str, typer.Argument(help="SERVICE:OPERATION; a glob.", show_default=False)],
    kind: Annotated[Kind, typer.Argument(help="What happens to the request.", show_default=False)],
    resource: Annotated[
        str,
        typer.Option(
            help="Only for this resource; a glob: an endpoint, a job, BUCKET or BUCKET/KEY, a gateway's path."
        ),
    ] = "*",
    count: Annotated[int | None, typer.Option("--next", help="Number of requests to hit; default: all.")] = None,
    skip: Annotated[int, typer.Option(help="Number of matching requests that pass first.")] = 0,
    rate: Annotated[float, typer.Option(help="Probability of each hit, above 0 and up to 1.")] = 1.0,
    seconds: Annotated[float, typer.Option(help="Delay of `slow`, in seconds.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the random draws for --rate.")] = 0,
    state: _State = DEFAULT,
    json: _Json = False,
) -> None:
    """Add a rule."""
    rule = _plan(context, state).add(Fault(operation, kind, resource, count, skip, rate, seconds, seed))
    typer.echo(json_module.dumps({"rule": rule}) if json else f"rule {rule}")


@faults.command("list")
def list_rules(context: typer.Context, state: _State = DEFAULT, json: _Json = False) -> None:
    """Show the rules, how often each matched and fired, and the requests that were hit."""
    found = _plan(context, state).describe()
    if json:
        typer.echo(json_module.dumps(found, indent=1))
        return
    for rule in found["rules"]:
        typer.echo(_rule_line(rule))
    if not found["rules"]:
        typer.echo(f"no faults are set; see `{_program(context)} add --help`")
    for item in found["fired"]:
        typer.echo(f"{item['at']}  {item['operation']}  {item['kind']}  rule {item['rule']}")


@faults.command("clear")
def clear(
    context: typer.Context,
    rule: Annotated[int | None, typer.Argument(help="Number of the rule; default: all.", show_default=False)] = None,
    state: _State = DEFAULT,
    json: _Json = False,
) -> None:
    """Remove one rule, or all rules and the record of hits."""
    removed = _plan(context, state).clear(rule)
    typer.echo(json_module.dumps({"removed": removed}) if json else f"{removed} removed")


def _plan(context: typer.Context, state: Path) -> RemotePlan:
    return RemotePlan(state, up_command=f"{_program(context).removesuffix('faults')}up")


def _program(context: typer.Context) -> str:
    """How the user calls these commands, such as ``localcloud faults``."""
    assert context.parent is not None
    return context.parent.command_path


def _rule_line(rule: dict[str, Any]) -> str:
    parts = [f"rule {rule['rule']}: {rule['operation']} {rule['kind']}"]
    parts += [f"resource {rule['resource']}"] if rule["resource"] != "*" else []
    parts += [f"next {rule['count']}"] if rule["count"] else []
    parts += [f"after {rule['skip']}"] if rule["skip"] else []
    parts += [f"rate {rule['rate']:g}, seed {rule['seed']}"] if rule["rate"] < 1 else []
    parts += [f"{rule['seconds']:g} s"] if rule["seconds"] else []
    return f"{', '.join(parts)} (matched {rule['matched']}, fired {rule['fired']})"
