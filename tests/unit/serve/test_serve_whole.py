"""The whole decoder of Snowflake's format against a slow, plain one: the same matrix bit for bit, or a refusal from both.

``SNOWSAGE_FUZZ_BODIES``: how many random bodies are tried.
"""

from __future__ import annotations

import json
import os
import random
import re

import numpy as np

from app.errors import CallerError
from app.serve.forms import snowflake

from .fakes import CONTRACT, live_version

LIVE = live_version()
BODIES = int(os.environ.get("SNOWSAGE_FUZZ_BODIES", "3000"))

_NUMBERS = (
    "0",
    "-0",
    "-0.0",
    "7",
    "1.5",
    "-2e3",
    "1E+2",
    "1e-46",
    "1e38",
    "3.4028235e38",
    "9007199254740993",
    "1" * 38,
)
_OTHERS = (
    "1e39",
    "1e400",
    "-1e999",
    "1" * 60,
    "01",
    "1.",
    ".5",
    "+1",
    "NaN",
    "Infinity",
    '"7"',
    '"\\u00e9"',
    '""',
    "[1]",
    "{}",
)
_DAMAGE = (b"\xff", b"\xc3", b"\x00", b'"', b"[", b"]", b"{", b"}", b",", b":", b"e", b"-", b"1", b" ", b"null")


def reference(body: bytes) -> bytes | None:
    """The matrix's bytes by way of Python's own JSON; None where the body must be refused."""
    try:
        rows = json.loads(body.decode(), parse_constant=_refuse)["data"]
        values = [_row(row, number) for number, row in enumerate(rows)] if type(rows) is list else None
        if values is None:
            return None
        with np.errstate(over="ignore"):
            matrix = np.array(values, dtype=np.float64).astype(np.float32)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError):
        return None
    return None if np.isinf(matrix).any() else matrix.tobytes()


def _refuse(_: str) -> None:
    raise ValueError


def _row(row: list[object], number: int) -> list[float]:
    first, *given = row
    if type(row) is not list or type(first) is not int or first != number:
        raise ValueError
    if len(given) == 1 and type(given[0]) is dict:
        if set(given[0]) != set(CONTRACT.names):
            raise ValueError
        given = [given[0][name] for name in CONTRACT.names]
    if len(given) != len(CONTRACT.names) or not all(
        value is None or type(value) in (int, float, bool) for value in given
    ):
        raise ValueError
    return [float("nan") if value is None else float(value) for value in given]  # type: ignore[arg-type]


def random_body(chance: random.Random) -> bytes:
    """A body that is right, or wrong in one or two places."""
    objects = chance.random() < 0.3
    rows = [_random_row(chance, number, objects) for number in range(chance.choice((0, 1, 1, 2, 3)))]
    gap = chance.choice(("", "", " ", "\n"))
    body = f'{{"data"{gap}:{gap}[{gap}{f"{gap},".join(rows)}{gap}]}}{gap}'.encode()
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        at = chance.randrange(len(body) + 1)
        body = body[:at] + chance.choice(_DAMAGE) * chance.randint(0, 1) + body[at + chance.randint(0, 1) :]
    return body[: chance.randrange(len(body) + 1)] if chance.random() < 0.05 else body


def _random_row(chance: random.Random, number: int, objects: bool) -> str:
    values = [_random_value(chance) for _ in range(3 if chance.random() < 0.98 else chance.randrange(6))]
    if not objects:
        return f"[{','.join([str(number), *values])}]"
    pairs = [f'"{name}":{value}' for name, value in zip(CONTRACT.names, values, strict=False)]
    chance.shuffle(pairs)
    return f"[{number},{{{','.join(pairs)}}}]"


def _random_value(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.15:
        return chance.choice(("null", "true", "false"))
    if kind < 0.4:
        return chance.choice(_NUMBERS)
    if kind < 0.43:
        return chance.choice(_OTHERS)
    if kind < 0.7:
        return repr(chance.uniform(-1, 1) * 10.0 ** chance.randint(-50, 40))
    digits = "".join(chance.choices("0123456789", k=chance.randint(1, 30))).lstrip("0") or "0"
    return f"{chance.choice(('', '-'))}{digits}.{chance.getrandbits(60)}e{chance.randint(-60, 10)}"


def test_any_body_is_read_as_the_plain_reader_reads_it_or_refused_by_both() -> None:
    chance = random.Random(int(os.environ.get("SNOWSAGE_FUZZ_SEED", "5")))
    taken = 0
    for _ in range(BODIES):
        body = random_body(chance)
        wanted = reference(body)
        try:
            found: bytes | None = snowflake.decode_batch(body, LIVE, None).matrix.tobytes()
        except CallerError as refusal:
            found, said = None, str(refusal)
        else:
            said = ""
        assert found == wanted, body
        assert len(said) < 700
        assert not re.search(r"\d{10}", said), body
        taken += wanted is not None
    assert BODIES / 10 < taken < BODIES * 9 / 10
