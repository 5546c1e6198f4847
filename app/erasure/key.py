"""The key of the entity to erase, as the user writes it, in SQL and in Parquet."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.errors import CallerError
from app.sql import Name, identifier


@dataclass(frozen=True)
class EntityKey:
    """``values``: by column of the entity, an int for NUMBER and a text for VARCHAR. Never written to messages or logs."""

    values: Mapping[str, int | str]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.values)

    @property
    def condition(self) -> str:
        """The condition of the entity's rows, with one bind for each column."""
        return " AND ".join(f"{identifier(name)} = ?" for name in self.values)

    @property
    def text_condition(self) -> str:
        """The same of a table whose key may have another type: it compares texts, with the binds :attr:`texts`."""
        return " AND ".join(f"TO_VARCHAR({identifier(name)}) = ?" for name in self.values)

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(str(value) for value in self.values.values())

    @property
    def binds(self) -> tuple[int | str, ...]:
        return tuple(self.values.values())

    def salted_sha256(self, salt: str) -> str:
        """A digest that says whether a known key was erased, and does not say which key was."""
        return hashlib.sha256((salt + json.dumps(dict(self.values), sort_keys=True)).encode()).hexdigest()


def new_salt() -> str:
    """Random, of one erasure: equal keys have other digests."""
    return secrets.token_hex(16)


def parse_key(entity: Mapping[str, str], written: Sequence[str]) -> EntityKey:
    """``CUSTOMER_ID=17`` for each column. Raises CallerError for other columns, a column twice, and a text for a NUMBER.

    ``entity``: the pipeline's columns and their types. Some of several columns may be left out; all their values are then erased.
    """
    values: dict[str, int | str] = {}
    for text in written:
        name, equals, value = text.partition("=")
        column = Name.parse(name.strip()).last if name.strip() else ""
        if not equals or column not in entity:
            raise CallerError(
                f"--key names a column of the entity and its value, such as --key {next(iter(entity))}=17; the entity's columns "
                f"are {', '.join(entity)}"
            )
        if column in values:
            raise CallerError(f"--key names {column} twice; erase one entity after another")
        values[column] = _value(column, entity[column], value)
    if not values:
        raise CallerError(f"name the entity to erase, such as --key {next(iter(entity))}=17")
    return EntityKey(values)


def _value(column: str, kind: str, text: str) -> int | str:
    if kind != "NUMBER":
        return text
    try:
        return int(text)
    except ValueError:
        raise CallerError(f"--key {column}: the entity declares NUMBER, so its value is a whole number") from None
