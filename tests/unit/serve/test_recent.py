"""Recent entries by caller: bounded, and one caller's entries do not displace another's."""

from __future__ import annotations

from app.serve.security.recent import RecentEntries


def test_the_oldest_entry_of_the_caller_with_the_most_is_dropped() -> None:
    recent: RecentEntries[int] = RecentEntries(10)
    recent.put("gateway", "q0", 0)
    recent.put("gateway", "q1", 1)
    for number in range(10_000):
        recent.put("shop", f"s{number}", number)
    assert (recent.get("gateway", "q0"), recent.get("gateway", "q1")) == (0, 1)
    assert (len(recent), len(list(recent))) == (10, 10)
    assert recent.get("shop", "s9991") is None
    assert recent.get("shop", "s9992") == 9992
    assert recent.get("shop", "q0") is None


def test_an_entry_that_is_used_again_is_the_newest() -> None:
    recent: RecentEntries[int] = RecentEntries(2)
    for name, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        recent.put("", name, value)
    assert (recent.get("", "a"), recent.get("", "b"), recent.get("", "c")) == (3, None, 4)
