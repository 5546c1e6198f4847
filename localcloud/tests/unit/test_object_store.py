"""The store of schema objects: names, replacement, temporary objects, renaming, order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import pytest
from snowflake.connector.errors import ProgrammingError

from localcloud.snowflake.clock import Clock
from localcloud.snowflake.objects.store import Kind, SchemaObject, SchemaObjects, Store, within
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.connection import DuckConnection

A, B = ("D", "S", "A"), ("D", "S", "B")


@dataclass(eq=False, kw_only=True)
class Thing(SchemaObject):
    arguments: tuple[str, ...] | None = None

    @property
    def types(self) -> tuple[str, ...] | None:
        return self.arguments


def thing(
    path: tuple[str, str, str] = A, session_id: int | None = None, arguments: tuple[str, ...] | None = None
) -> Thing:
    now = datetime(2024, 1, 1, tzinfo=UTC)
    return Thing(path=path, owner="R", created=now, session_id=session_id, arguments=arguments)


@pytest.fixture
def store() -> Store[Thing]:
    return Store("Thing")


def test_an_object_is_found_by_its_path(store: Store[Thing]) -> None:
    made = thing()
    assert store.empty
    assert store.put(made) is None
    assert store.find(1, A) is made
    assert store.find(1, B) is None
    assert not store.empty


def test_a_taken_name_is_an_error_unless_the_object_is_replaced(store: Store[Thing]) -> None:
    first, second = thing(), thing()
    store.put(first)
    with pytest.raises(ProgrammingError, match="Object 'A' already exists") as caught:
        store.put(second)
    assert (caught.value.errno, caught.value.sqlstate) == (2002, "42710")
    assert store.put(second, replace=True) is first
    assert store.all() == [second]


def test_a_missing_object_is_an_error_with_its_full_name(store: Store[Thing]) -> None:
    with pytest.raises(ProgrammingError, match=r"Thing 'D\.S\.A' does not exist or not authorized") as caught:
        store.require(1, A)
    assert (caught.value.errno, caught.value.sqlstate) == (2003, "02000")
    with pytest.raises(ProgrammingError, match=r"Thing 'D\.S\.A\(FLOAT, DATE\)' does not exist"):
        store.require(1, A, ("FLOAT", "DATE"))


def test_a_temporary_object_shadows_the_permanent_one_in_its_session_only(store: Store[Thing]) -> None:
    permanent, temporary = thing(), thing(session_id=1)
    store.put(permanent)
    store.put(temporary)
    assert store.find(1, A) is temporary
    assert store.find(2, A) is permanent
    assert store.visible(1) == [temporary]
    assert store.visible(2) == [permanent]
    assert store.remove(temporary)
    assert store.find(1, A) is permanent
    assert not store.remove(temporary)


def test_overloads_differ_by_their_argument_types(store: Store[Thing]) -> None:
    number, text = thing(arguments=("NUMBER",)), thing(arguments=("VARCHAR",))
    store.put(text)
    store.put(number)
    store.put(thing(B, arguments=()))
    assert store.find(1, A, ("VARCHAR",)) is text
    assert store.find(1, A, ()) is None
    assert store.overloads(1, A) == [number, text]


def test_renaming_keeps_the_object_and_rejects_a_taken_name(store: Store[Thing]) -> None:
    made, other = thing(), thing(B)
    store.put(made)
    store.put(other)
    with pytest.raises(ProgrammingError, match="'B' already exists"):
        store.move(made, B)
    assert store.find(1, A) is made
    store.move(made, ("D", "T", "B"))
    assert store.find(1, A) is None
    assert store.find(1, ("D", "T", "B")) is made


def test_all_is_in_the_order_of_creation_and_a_replacement_comes_last(store: Store[Thing]) -> None:
    first, second, replacement = thing(B), thing(A), thing(B)
    store.put(first)
    store.put(second)
    store.put(replacement, replace=True)
    assert store.all() == [second, replacement]
    assert store.visible(1) == [second, replacement]


def test_taking_removes_what_matches(store: Store[Thing]) -> None:
    here, there = thing(), thing(("D", "T", "A"))
    store.put(here)
    store.put(there)
    assert store.take(lambda found: within(found.path, ("D", "T"))) == [there]
    assert store.all() == [here]


@pytest.fixture
def account() -> Iterator[Account]:
    with duckdb.connect() as duck:
        opened = Account("A", DuckConnection(duck), clock=Clock())
        yield opened
        opened.close()


def test_each_kind_has_one_store(account: Account) -> None:
    objects = SchemaObjects(account)
    one: Kind[Thing] = Kind(word="ONE THING")
    other: Kind[Thing] = Kind(word="OTHER THING")
    objects.of(one).put(thing())
    assert objects.of(other).empty
    assert objects.of(one).title == "One thing"
    assert [kind for kind, _ in objects.stores()] == [one, other]


def test_what_a_dropped_object_holds_is_released(account: Account) -> None:
    calls: list[tuple[str, Thing]] = []
    kind: Kind[Thing] = Kind(
        word="THING",
        withdrawn=lambda _, found: calls.append(("withdrawn", found)),
        released=lambda _, found: calls.append(("released", found)),
        dropped=lambda _, found: calls.append(("dropped", found)),
    )
    objects = SchemaObjects(account)
    kept, temporary = thing(), thing(session_id=7)
    objects.of(kind).put(kept)
    objects.of(kind).put(temporary)
    objects.session_closed(8)
    assert calls == []
    objects.session_closed(7)
    assert calls == [("withdrawn", temporary), ("released", temporary), ("dropped", temporary)]
    assert objects.of(kind).all() == [kept]
    assert objects.drop(kind, lambda found: found is kept)
    assert not objects.drop(kind, lambda found: found is kept)
