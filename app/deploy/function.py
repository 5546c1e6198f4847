"""The external function's DDL, generated from the contract, in two forms.

Typed: one argument for each feature, after the entity key if the pipeline has ``serving.key``. OBJECT: one object of named
features. Both return FLOAT, or VARIANT with ``output: variant``, and call ``/predict/<model>`` through the API integration.

The functions are VOLATILE, because the version behind the URL changes and IMMUTABLE would let Snowflake reuse an old result. OR
REPLACE also changes the return type: Snowflake identifies a function by its name and argument types. So nothing is dropped
first, and no call finds the function missing. ``overloads`` decides which statements are needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from app.deploy.rules import Output
from app.ownership import comment
from app.sql import Name, Statement, identifier, literal
from sagemaker_entry.contract import Contract

#: Maximum rows of one batch. The service answers them in well under a second, far below the gateway's time limit.
MAX_BATCH_ROWS = 4096

_RETURNS: dict[Output, str] = {"number": "FLOAT", "variant": "VARIANT"}


def arguments(contract: Contract, entity: Mapping[str, str], key: str | None) -> list[tuple[str, str]]:
    """(name, SQL type) of the typed form's arguments, in order."""
    first = [(key, entity[key])] if key else []
    return first + [(column.name, "VARCHAR" if column.dtype == "category" else "FLOAT") for column in contract.columns]


@dataclass(frozen=True)
class Form:
    """One form of the function. ``head`` and ``tail``: its CREATE statement around the comment, which says ``described``."""

    name: Name
    model: str
    types: tuple[str, ...]
    head: str
    tail: str
    described: str

    @property
    def signature(self) -> str:
        """The name with the argument types, as statements about one overload write it."""
        return f"{self.name.sql}({', '.join(self.types)})"

    def comment(self, reader: Name | None, pending: str = "") -> str:
        """Owner, contract, and a digest of everything else; ``pending``: grants that are still to be given."""
        digest = hashlib.sha256(f"{self.head}{self.tail}{reader}".encode()).hexdigest()[:8]
        return comment(self.model, f"{self.described}; ddl {digest}{pending}")

    def create(self, reader: Name | None = None, pending: str = "") -> Statement:
        """CREATE OR REPLACE."""
        return Statement(f"{self.head}COMMENT = {literal(self.comment(reader, pending))}\n{self.tail}")

    def set_comment(self, reader: Name | None) -> Statement:
        """Change the comment of the existing overload."""
        return Statement(f"ALTER FUNCTION {self.signature} SET COMMENT = {literal(self.comment(reader))}")


def forms(
    name: Name,
    model: str,
    contract: Contract,
    entity: Mapping[str, str],
    key: str | None,
    integration: Name,
    gateway_url: str,
    output: Output = "number",
) -> tuple[Form, Form]:
    """The typed and the OBJECT form. ``gateway_url`` may end with a slash."""
    typed = arguments(contract, entity, key)
    url = prediction_url(gateway_url, model)
    signatures = {
        tuple(kind for _, kind in typed): ", ".join(f"{identifier(argument)} {kind}" for argument, kind in typed),
        ("OBJECT",): '"FEATURES" OBJECT',
    }
    first, second = (
        Form(
            name,
            model,
            types,
            head=f"CREATE OR REPLACE EXTERNAL FUNCTION {name.sql}({signature})\nRETURNS {_RETURNS[output]}\n"
            "CALLED ON NULL INPUT\nVOLATILE\n",
            tail=f"API_INTEGRATION = {integration.sql}\nCONTEXT_HEADERS = (CURRENT_USER)\n"
            f"MAX_BATCH_ROWS = {MAX_BATCH_ROWS}\nAS {literal(url)}",
            described=f"scores of its model; contract {contract.fingerprint}",
        )
        for types, signature in signatures.items()
    )
    return first, second


def prediction_url(gateway_url: str, model: str) -> str:
    """Where Snowflake sends the rows for ``model``."""
    return f"{gateway_url.rstrip('/')}/predict/{model}"


def probe(
    name: Name, contract: Contract, entity: Mapping[str, str], key: str | None, output: Output = "number"
) -> Statement:
    """The score of a row of NULLs through the typed form: Snowflake, gateway, service, endpoint and back."""
    nulls = ", ".join(f"NULL::{kind}" for _, kind in arguments(contract, entity, key))
    call = f"{name.sql}({nulls})"
    return Statement(f"SELECT {call}" if output == "number" else f"SELECT GET({call}, 'score')::FLOAT")
