"""Request bodies in the service's formats, valid or with one or two faults: from Hypothesis, or from a faster random generator.

They are generated as text, so numbers have every notation and keys may occur twice.
"""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st

from app.deploy.live import LiveVersion
from app.serve.codecs.signature import Signature, parse
from sagemaker_entry.contract import Column, Contract

from .fakes import live_version

PLANS = ("free", "paid", "größe", 'a"b', "")
MIXED = Contract((Column("SPENT"), Column("PLAN", "category", PLANS), Column("VISITS")), ("ID",), "L")
LENIENT = Contract((Column("SPENT"), Column("PLAN", "category", PLANS, "null"), Column("VISITS")), ("ID",), "L")
NUMBERS = Contract((Column("SPENT"), Column("ORDERS"), Column("VISITS")), ("ID",), "L")
MODELS = (
    live_version(contract=NUMBERS),
    live_version(contract=MIXED),
    live_version(contract=LENIENT),
    live_version(contract=MIXED, key="ID"),
    live_version(contract=LENIENT, key="ID"),
)

SPELLINGS = (
    "0",
    "-0",
    "-0.0",
    "7",
    "1.5",
    "-2e3",
    "1E+2",
    "1e38",
    "1e-46",
    "1e-400",
    "3.4028235e38",
    "9007199254740993",
    "1" * 38,
)
BEYOND = ("3.4028236e38", "1e39", "1e400", "-1e999", "1" * 60, "9" * 310)
NOT_JSON = ("01", "1.", ".5", "+1", "NaN", "Infinity", "-Infinity", "tru", '"\\ud800"')
NO_NUMBERS = (
    '"1"',
    '"2014-01-01"',
    '"\\u00e9"',
    '"\\ud83d\\ude00"',
    '""',
    "[1]",
    "{}",
    '{"a":1}',
    "[[[]]]",
    "[" * 40 + "]" * 40,
)
#: Bytes that are inserted into a body, one at a time.
DAMAGE = b'0129.,-+eE[]{}": \x00\xff\xc3nul\\'

digits = st.text("0123456789", min_size=1, max_size=22)
notations = st.one_of(
    st.integers(-1000, 1000).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.builds("{}{}.{}e{}".format, st.sampled_from(["", "-"]), digits, digits, st.integers(-400, 400)),
    st.sampled_from([*SPELLINGS, "3.4028236e38"]),
)
texts = st.sampled_from(['"free"', '"paid"', '"größe"', '"gr\\u00f6\\u00dfe"', '"a\\"b"', '""', "null"])
odd = st.sampled_from(["true", "false", *BEYOND, *NOT_JSON, *NO_NUMBERS])
gaps = st.sampled_from(["", "", " ", "\n", "\t\r "])


def _seldom(usual: st.SearchStrategy[str], other: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.integers(0, 24).flatmap(lambda roll: other if roll == 0 else usual)


numeric = _seldom(notations | st.just("null"), odd | texts)
plan = _seldom(texts, odd | notations)


@st.composite
def _objects(draw: Any, live: LiveVersion, folded: bool) -> str:
    names = draw(st.permutations([*live.contract.names, *([live.key] if live.key else [])]))
    if draw(st.integers(0, 19)) == 0:
        names = [*names[draw(st.integers(0, 1)) :], *draw(st.lists(st.sampled_from(["SPENT", "X", "ID"]), max_size=1))]
    if folded and draw(st.booleans()):
        names = [name.lower() for name in names]
    gap = draw(gaps)
    return "{" + ",".join(f'{gap}"{name}"{gap}:{draw(_value_of(live, name.upper()))}' for name in names) + gap + "}"


def _value_of(live: LiveVersion, name: str) -> st.SearchStrategy[str]:
    if name == "ID":
        return st.sampled_from(["1", '"c-1"', "null", '"ä"'])
    return plan if name == "PLAN" and live.contract in (MIXED, LENIENT) else numeric


@st.composite
def batches(draw: Any) -> tuple[bytes, LiveVersion, Signature | None]:
    live = draw(st.sampled_from(MODELS))
    names = [*([live.key] if live.key else []), *live.contract.names]
    signature, as_object = None, draw(st.booleans())
    if draw(st.booleans()):
        names = draw(st.permutations(names))
        arguments = ", ".join(f"{name if draw(st.booleans()) else name.lower()} FLOAT" for name in names)
        signature = parse("(F OBJECT)" if as_object else f"({arguments})")
    rows = []
    for number in range(draw(st.integers(0, 4))):
        number = draw(_seldom(st.just(str(number)), st.sampled_from(["-1", "0.0", "true", '"0"', "00", "-0"])))
        inner = [draw(_objects(live, False))] if as_object else [draw(_value_of(live, name)) for name in names]
        inner = inner[: len(inner) - (draw(st.integers(0, 29)) == 0)]
        rows.append("[" + ("," + draw(gaps)).join([number, *inner]) + "]")
    return _wrapped("data", rows, draw(gaps), draw(st.integers(0, 29))), live, signature


@st.composite
def named_rows(draw: Any) -> tuple[bytes, LiveVersion]:
    live = draw(st.sampled_from(MODELS))
    rows = [draw(_objects(live, True)) for _ in range(draw(st.integers(0, 4)))]
    return _wrapped("rows", rows, draw(gaps), draw(st.integers(0, 29))), live


def _wrapped(field: str, rows: list[str], gap: str, oddity: int) -> bytes:
    inner = f"{gap},{gap}".join(rows)
    before = '"more":1,' if oddity == 0 else f'"{field}":[],' if oddity == 1 else ""
    return f'{gap}{{{gap}{before}"{field}"{gap}:[{inner}]{gap}}}{gap}'.encode()


@st.composite
def inferences(draw: Any) -> tuple[bytes, LiveVersion]:
    live, rows = draw(st.sampled_from(MODELS[:3])), draw(st.integers(1, 4))
    if live.contract is NUMBERS and draw(st.booleans()):
        return _wrapped("inputs", [draw(_tensors("features", rows, 3, numeric))], draw(gaps), 9), live
    names = draw(st.permutations(live.contract.names))
    given_tensors = [draw(_tensors(name, rows, 1, _value_of(live, name))) for name in names]
    return _wrapped("inputs", given_tensors, draw(gaps), draw(st.integers(0, 29))), live


@st.composite
def _tensors(draw: Any, name: str, rows: int, width: int, value: st.SearchStrategy[str]) -> str:
    kind = "BYTES" if value is plan else draw(st.sampled_from(["FP32", "FP32", "FP64", "INT8", "INT64", "BOOL"]))
    of_kind = {"BOOL": st.sampled_from(["true", "false"]), "INT8": st.integers(-130, 130).map(str),
               "INT64": st.integers(-(2**63), 2**63).map(str)}  # fmt: skip
    table = [[draw(of_kind.get(kind, value)) for _ in range(width)] for _ in range(rows)]
    nested = draw(st.booleans())
    data = ",".join(f"[{','.join(row)}]" if nested else ",".join(row) for row in table)
    shape = f"[{rows}]" if width == 1 and draw(st.booleans()) else f"[{rows},{width}]"
    return f'{{"name":"{name}","datatype":"{kind}","shape":{shape},"data":[{data}]}}'


_DAMAGES = (*(bytes([byte]) for byte in DAMAGE), b"null")


def random_batch(chance: random.Random) -> bytes:
    """A batch of numbers, valid or with one or two faults: a byte or a word is inserted, removed or replaced."""
    objects = chance.random() < 0.3
    rows = [_random_row(chance, number, objects) for number in range(chance.choice((0, 1, 1, 2, 3)))]
    gap = chance.choice(("", "", " ", "\n"))
    body = f'{{"data"{gap}:{gap}[{gap}{f"{gap},".join(rows)}{gap}]}}{gap}'.encode()
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        at = chance.randrange(len(body) + 1)
        body = body[:at] + chance.choice(_DAMAGES) * chance.randint(0, 1) + body[at + chance.randint(0, 1) :]
    return body[: chance.randrange(len(body) + 1)] if chance.random() < 0.05 else body


def _random_row(chance: random.Random, number: int, objects: bool) -> str:
    values = [_random_value(chance) for _ in range(3 if chance.random() < 0.98 else chance.randrange(6))]
    if not objects:
        return f"[{','.join([str(number), *values])}]"
    pairs = [f'"{name}":{value}' for name, value in zip(NUMBERS.names, values, strict=False)]
    chance.shuffle(pairs)
    return f"[{number},{{{','.join(pairs)}}}]"


def _random_value(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.15:
        return chance.choice(("null", "true", "false"))
    if kind < 0.4:
        return chance.choice(SPELLINGS)
    if kind < 0.43:
        return chance.choice(BEYOND + NOT_JSON + NO_NUMBERS)
    if kind < 0.7:
        return repr(chance.uniform(-1, 1) * 10.0 ** chance.randint(-50, 40))
    whole = "".join(chance.choices("0123456789", k=chance.randint(1, 30))).lstrip("0") or "0"
    return f"{chance.choice(('', '-'))}{whole}.{chance.getrandbits(60)}e{chance.randint(-60, 10)}"
