"""The external function's DDL, generated from the contract, in two forms.

Typed: one argument for each feature, after the entity key if the pipeline has ``serving.key``. OBJECT: one object of named
features. Both return FLOAT, or VARIANT with ``output: variant``, and call ``/predict/<model>`` through the API integration.

The functions are VOLATILE, because the version behind the URL changes and IMMUTABLE would let Snowflake reuse an old result. OR
REPLACE also changes the return type: Snowflake identifies a function by its name and argument types. So nothing is dropped
first, and no call finds the function missing.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.deploy.rules import Output
from app.sql import Name, Statement, identifier, literal
from sagemaker_entry.contract import Contract

#: Maximum rows of one batch. The service answers them in well under a second, far below the gateway's time limit.
MAX_BATCH_ROWS = 4096

_RETURNS: dict[Output, str] = {"number": "FLOAT", "variant": "VARIANT"}


def arguments(contract: Contract, entity: Mapping[str, str], key: str | None) -> list[tuple[str, str]]:
    """(name, SQL type) of the typed form's arguments, in order."""
    first = [(key, entity[key])] if key else []
    return first + [(column.name, "VARCHAR" if column.dtype == "category" else "FLOAT") for column in contract.columns]


def create_functions(
    name: Name,
    model: str,
    contract: Contract,
    entity: Mapping[str, str],
    key: str | None,
    integration: Name,
    gateway_url: str,
    output: Output = "number",
) -> list[Statement]:
    """Both forms. ``gateway_url`` may end with a slash."""
    typed = arguments(contract, entity, key)
    url = f"{gateway_url.rstrip('/')}/predict/{model}"
    named = ", ".join(f"{identifier(argument)} {kind}" for argument, kind in typed)
    comment = f"snowsage: scores of model {model}; contract {contract.fingerprint}"
    return [
        Statement(
            f"CREATE OR REPLACE EXTERNAL FUNCTION {name.sql}({signature})\nRETURNS {_RETURNS[output]}\n"
            f"CALLED ON NULL INPUT\nVOLATILE\nCOMMENT = {literal(comment)}\nAPI_INTEGRATION = {integration.sql}\n"
            f"CONTEXT_HEADERS = (CURRENT_USER)\nMAX_BATCH_ROWS = {MAX_BATCH_ROWS}\nAS {literal(url)}"
        )
        for signature in (named, '"FEATURES" OBJECT')
    ]


def drop_typed(name: Name, contract: Contract, entity: Mapping[str, str], key: str | None) -> Statement:
    """Remove the typed form of another contract: OR REPLACE does not replace a function with other argument types."""
    kinds = ", ".join(kind for _, kind in arguments(contract, entity, key))
    return Statement(f"DROP FUNCTION IF EXISTS {name.sql}({kinds})")


def grant_functions(
    name: Name, contract: Contract, entity: Mapping[str, str], key: str | None, role: Name
) -> list[Statement]:
    """Let a role call both forms. External functions take no future grants, and OR REPLACE makes a new object without grants."""
    typed = ", ".join(kind for _, kind in arguments(contract, entity, key))
    return [Statement(f"GRANT USAGE ON FUNCTION {name.sql}({kinds}) TO ROLE {role.sql}") for kinds in (typed, "OBJECT")]


def probe(
    name: Name, contract: Contract, entity: Mapping[str, str], key: str | None, output: Output = "number"
) -> Statement:
    """The score of a row of NULLs through the typed form: Snowflake, gateway, service, endpoint and back."""
    nulls = ", ".join(f"NULL::{kind}" for _, kind in arguments(contract, entity, key))
    call = f"{name.sql}({nulls})"
    return Statement(f"SELECT {call}" if output == "number" else f"SELECT GET({call}, 'score')::FLOAT")
