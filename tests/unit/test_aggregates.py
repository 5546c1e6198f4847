"""Arguments that the functions for definitions refuse."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from app.errors import CallerError
from app.features.aggregates import Tiled, count, distinct, score_by_rank, score_by_rules, total, trailing

AS_OF = datetime(2024, 3, 20)
NO_FRAME: Any = None
TILED = Tiled(NO_FRAME, NO_FRAME, ("LOG", "K"), "SEEN", ("X",))


def test_wrong_arguments_are_refused() -> None:
    for days in ((0,), (), (7, -1)):
        with pytest.raises(CallerError, match="write days as whole numbers from 1, or LIFETIME"):
            trailing(NO_FRAME, "K", "N", AS_OF, days, {"EVENTS": count()})
    with pytest.raises(CallerError, match=r"bounds are \[90, 30\]; write at least one, ascending"):
        score_by_rules("R", [(90, 4), (30, 5)], 1)
    with pytest.raises(CallerError, match=r"bounds are \[3, 6\]; write at least one, descending"):
        score_by_rules("R", [(3, 4), (6, 5)], 1, at_least=True)
    with pytest.raises(CallerError, match="key is empty"):
        score_by_rank("R", [])


@pytest.mark.parametrize(
    ("key", "event_time", "measure", "said"),
    [
        (
            "SHOP",
            "SEEN",
            total("X"),
            "the tiles have no key SHOP; they are made by LOG, K: declare the key under `tiles`",
        ),
        ("K", "BOUGHT", total("X"), "the tiles are made by SEEN; give that column's name as the event time"),
        ("K", "SEEN", total("Y"), r"tiles cannot give total of Y: they hold .* of X; declare the column"),
        ("K", "SEEN", distinct("X"), "tiles cannot give distinct of X"),
    ],
)
def test_what_tiles_cannot_give_is_refused(key: str, event_time: str, measure: Any, said: str) -> None:
    with pytest.raises(CallerError, match=said):
        trailing(TILED, key, event_time, AS_OF, (7,), {"M": measure})
