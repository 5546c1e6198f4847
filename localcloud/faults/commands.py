"""``snowsage local faults``: set, list and clear faults of the local cloud that runs in another shell.

In: options. Out: one line a rule and a hit, or JSON. The surprise: the rules live in the running cloud, and end with it.
"""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from localcloud.faults.control import RemotePlan
from localcloud.faults.rules import MEANINGS, Fault, Kind

_KINDS = "\n\n".join(f"- `{kind}`: {meaning}" for kind, meaning in MEANINGS.items())

faults = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Let requests to the local cloud fail on purpose, to see how a program takes it.",
)

_State = Annotated[Path, typer.Option("--state", help="State folder of the running local cloud.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
_STATE = Path(".snowsage/local")


@faults.command(
    "add",
    help=f"""Let requests of one OPERATION meet a fault of one KIND.

**Kinds**

{_KINDS}

**Operations**, with globs, case ignored

- AWS: `SERVICE:OPERATION` as in IAM, such as `s3:PutObject`, `sagemaker:Create*`, `sagemaker-runtime:InvokeEndpoint`.

- Snowflake: `snowflake:query`, `snowflake:login`, the first words of a statement such as `snowflake:COPY INTO`, and
  `snowflake:external-function` for the requests that Snowflake itself sends.

- The API gateway's hop to the service: `gateway:POST`, `gateway:GET`.

- `*`: everything.

**Examples**

`snowsage local faults add s3:PutObject throttle --next 2`

`snowsage local faults add sagemaker-runtime:InvokeEndpoint kill --resource snowsage-churn --next 1 --skip 10`

`snowsage local faults add 'snowflake:MERGE INTO' drop --rate 0.2 --seed 7`

`snowsage local faults add gateway:POST slow --seconds 31 --next 1`
""",
)
def add(
    operation: Annotated[str, typer.Argument(help="SERVICE:OPERATION, a glob.", show_default=False)],
    kind: Annotated[Kind, typer.Argument(help="What happens.", show_default=False)],
    resource: Annotated[
        str,
        typer.Option(help="Only for this name, a glob: an endpoint, a job, BUCKET or BUCKET/KEY, a gateway's path."),
    ] = "*",
    count: Annotated[int | None, typer.Option("--next", help="How many requests are hit; left out, all.")] = None,
    skip: Annotated[int, typer.Option(help="How many matching requests pass before.")] = 0,
    rate: Annotated[float, typer.Option(help="Probability of each hit, above 0 and up to 1.")] = 1.0,
    seconds: Annotated[float, typer.Option(help="How late slow answers.")] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed draws the same for --rate.")] = 0,
    state: _State = _STATE,
    json: _Json = False,
) -> None:
    """Set one rule."""
    rule = RemotePlan(state).add(Fault(operation, kind, resource, count, skip, rate, seconds, seed))
    typer.echo(json_module.dumps({"rule": rule}) if json else f"rule {rule}")


@faults.command("list")
def list_rules(state: _State = _STATE, json: _Json = False) -> None:
    """Show the rules, how often each matched and fired, and what fired when."""
    found = RemotePlan(state).describe()
    if json:
        typer.echo(json_module.dumps(found, indent=1))
        return
    for rule in found["rules"]:
        typer.echo(_rule_line(rule))
    if not found["rules"]:
        typer.echo("no faults are set; `snowsage local faults add --help` tells how")
    for item in found["fired"]:
        typer.echo(f"{item['at']}  {item['operation']}  {item['kind']}  rule {item['rule']}")


@faults.command("clear")
def clear(
    rule: Annotated[int | None, typer.Argument(help="Number of one rule; left out, all.", show_default=False)] = None,
    state: _State = _STATE,
    json: _Json = False,
) -> None:
    """Remove one rule, or all of them with the record of what fired."""
    removed = RemotePlan(state).clear(rule)
    typer.echo(json_module.dumps({"removed": removed}) if json else f"{removed} removed")


def _rule_line(rule: dict[str, Any]) -> str:
    parts = [f"rule {rule['rule']}: {rule['operation']} {rule['kind']}"]
    parts += [f"resource {rule['resource']}"] if rule["resource"] != "*" else []
    parts += [f"next {rule['count']}"] if rule["count"] else []
    parts += [f"after {rule['skip']}"] if rule["skip"] else []
    parts += [f"rate {rule['rate']:g}, seed {rule['seed']}"] if rule["rate"] < 1 else []
    parts += [f"{rule['seconds']:g} s"] if rule["seconds"] else []
    return f"{', '.join(parts)} (matched {rule['matched']}, fired {rule['fired']})"
