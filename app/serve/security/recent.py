"""Recent entries by caller: a bounded memory in which no caller displaces the entries of another that has fewer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain
from typing import Generic, TypeVar

Value = TypeVar("Value")


class RecentEntries(Generic[Value]):
    """The newest entries, at most ``kept``; beyond that the oldest one of the caller with the most is dropped. Not thread-safe."""

    def __init__(self, kept: int) -> None:
        self._kept, self._entries = kept, 0
        self._of_caller: dict[str, OrderedDict[str, Value]] = {}

    def __len__(self) -> int:
        return self._entries

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._of_caller.values())

    def get(self, caller: str, name: str) -> Value | None:
        """The entry of this name, if it is kept."""
        entries = self._of_caller.get(caller)
        return entries.get(name) if entries is not None else None

    def put(self, caller: str, name: str, value: Value) -> None:
        """Keep an entry, as the newest of its caller."""
        entries = self._of_caller.get(caller)
        if entries is None:
            entries = self._of_caller[caller] = OrderedDict()
        self._entries += name not in entries
        entries[name] = value
        entries.move_to_end(name)
        if self._entries > self._kept:
            self._drop()

    def _drop(self) -> None:
        # Callers are credentials, of which there are few.
        caller = max(self._of_caller, key=lambda each: len(self._of_caller[each]))
        self._of_caller[caller].popitem(last=False)
        self._entries -= 1
        if not self._of_caller[caller]:
            del self._of_caller[caller]
