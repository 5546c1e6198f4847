"""The decoders as wholes against a slow plain reading of the same bytes: the same matrix to the bit, or both refuse.

What the compiled readers leave to the general path is covered too, and that the two draw the same line.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from math import prod
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from app.deploy.live import LiveVersion
from app.errors import CallerError
from app.serve.forms import named, snowflake
from app.serve.forms.inference import Exchange
from app.serve.forms.shape import MAX_DEPTH
from app.serve.forms.signature import Signature, parse
from sagemaker_entry.contract import Column, Contract

from .fakes import live_version

PLANS = ("free", "paid", "größe", 'a"b', "")
CONTRACT = Contract((Column("SPENT"), Column("PLAN", "category", PLANS), Column("VISITS")), ("ID",), "L")
NUMBERS = Contract((Column("SPENT"), Column("ORDERS"), Column("VISITS")), ("ID",), "L")
MODELS = (live_version(contract=NUMBERS), live_version(contract=CONTRACT), live_version(contract=CONTRACT, key="ID"))

BODIES_LONG, BODIES_SHORT, EXAMPLES_A_ROUND = 250_000, 1_500, 5_000

Matrix = list[list[float]]


class Refusal(Exception):
    """The plain reading refuses."""


# The plain reading


def refuse(*_: object) -> NoReturn:
    raise Refusal


def document(body: bytes, deepest: int | None) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
        found = json.loads(text, parse_constant=refuse, parse_float=double, parse_int=integer)
        json.dumps(found, ensure_ascii=False).encode("utf-8")  # half a surrogate is no character
    except (ValueError, RecursionError):
        refuse()
    if not isinstance(found, dict) or (deepest is not None and depth(found) > deepest):
        refuse()
    return found


def double(text: str) -> float:
    """A number beyond a double is refused wherever it stands, also where a later key of the same name hides it."""
    return refuse() if np.isinf(found := float(text)) else found


def integer(text: str) -> int:
    double(text)
    return int(text)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def cell(column: Column, value: Any) -> float:
    if value is None:
        return np.nan
    if column.dtype == "category":
        return float(column.categories.index(value)) if type(value) is str and value in column.categories else refuse()
    if type(value) not in (bool, int, float):
        refuse()
    with np.errstate(over="ignore"):
        small = np.float32(np.float64(float(value)))
    return refuse() if np.isinf(small) else float(small)


def in_order(live: LiveVersion, names: Sequence[str], values: Sequence[Any], required: bool, fold: bool) -> list[float]:
    known = (*live.contract.names, *([live.key] if live.key else []))
    found = dict(zip(spelled(names, known, fold), values, strict=True))
    needed = known if required else live.contract.names
    if not set(needed) <= set(found) <= set(known) or len(found) != len(names):
        refuse()
    return [cell(column, found[column.name]) for column in live.contract.columns]


def spelled(names: Sequence[str], known: Sequence[str], fold: bool) -> list[str]:
    return [name.upper() if fold and name not in known else name for name in names]


def batch_read_plainly(body: bytes, live: LiveVersion, signature: Signature | None) -> Matrix:
    names = signature.names if signature else ((live.key,) if live.key else ()) + live.contract.names
    as_object = signature is not None and signature.takes_object
    if signature and not as_object:
        in_order(live, names, [None] * len(names), True, True)
    rows = document(body, MAX_DEPTH).get("data")
    if not isinstance(rows, list):
        refuse()
    for number, row in enumerate(rows):
        if type(row) is not list or not row or type(row[0]) is not int or row[0] != number:
            refuse()
    if signature is None:
        as_object = any(len(row) == 2 and type(row[1]) is dict for row in rows)
    if as_object:
        return objects_read_plainly(live, [row[1] if len(row) == 2 else None for row in rows], True, False)
    if any(len(row) != 1 + len(names) for row in rows):
        refuse()
    return [in_order(live, names, row[1:], True, True) for row in rows]


def objects_read_plainly(live: LiveVersion, objects: list[Any], required: bool, fold: bool) -> Matrix:
    if any(type(item) is not dict for item in objects):
        refuse()
    return [in_order(live, list(item), list(item.values()), required, fold) for item in objects]


def named_read_plainly(body: bytes, live: LiveVersion) -> Matrix:
    rows = document(body, MAX_DEPTH).get("rows")
    return objects_read_plainly(live, rows, False, True) if isinstance(rows, list) else refuse()


def inference_read_plainly(body: bytes, live: LiveVersion) -> Matrix:
    tensors = document(body, None).get("inputs")
    if not isinstance(tensors, list) or not tensors or any(type(tensor) is not dict for tensor in tensors):
        refuse()
    read = [tensor_read_plainly(tensor) for tensor in tensors]
    if len(read) == 1 and read[0][0] == "features":
        _, kind, shape, values = read[0]
        if live.contract is CONTRACT or kind == "BYTES" or len(shape) != 2 or shape[1] != 3:
            refuse()
        return [table_row(live, values[3 * at : 3 * at + 3]) for at in range(shape[0])]
    names = [name for name, *_ in read]
    lengths = {len(values) for *_, values in read}
    if len(set(names)) != len(names) or len(lengths) > 1 or any(shape[1:] not in ([], [1]) for _, _, shape, _ in read):
        refuse()
    in_order(live, names, [None] * len(names), False, False)
    return [in_order(live, names, row, False, False) for row in zip(*(values for *_, values in read), strict=True)]


def table_row(live: LiveVersion, values: list[Any]) -> list[float]:
    return [cell(column, value) for column, value in zip(live.contract.columns, values, strict=True)]


def tensor_read_plainly(tensor: dict[str, Any]) -> tuple[str, str, list[int], list[Any]]:
    name, kind, shape, data = (tensor.get(field) for field in ("name", "datatype", "shape", "data"))
    if type(name) is not str or not name or kind not in ("FP32", "FP64", "INT8", "INT64", "BOOL", "BYTES"):
        refuse()
    if type(shape) is not list or len(shape) not in (1, 2) or any(type(at) is not int or at < 0 for at in shape):
        refuse()
    if type(data) is not list:
        refuse()
    if data and all(type(row) is list for row in data):
        data = [value for row in data for value in row]
    if len(data) != prod(shape) or not all(fits(kind, value) for value in data):
        refuse()
    return name, kind, shape, data


def fits(kind: str, value: Any) -> bool:
    if kind == "BYTES":
        return value is None or type(value) is str
    if kind == "BOOL":
        return type(value) is bool
    if kind.startswith("INT"):
        return type(value) is int and -(2 ** (int(kind[3:]) - 1)) <= value < 2 ** (int(kind[3:]) - 1)
    return value is None or type(value) in (int, float)


# Bodies as texts, so that numbers are spelt in every way and keys may stand twice

digits = st.text("0123456789", min_size=1, max_size=22)
spelt = st.one_of(
    st.integers(-1000, 1000).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.builds("{}{}.{}e{}".format, st.sampled_from(["", "-"]), digits, digits, st.integers(-400, 400)),
    st.sampled_from(["0", "-0", "-0.0", "1E+2", "1e-400", "3.4028235e38", "3.4028236e38", "1e-46", "9007199254740993"]),
)  # fmt: skip
texts = st.sampled_from(['"free"', '"paid"', '"größe"', '"gr\\u00f6\\u00dfe"', '"a\\"b"', '""', "null"])
odd = st.sampled_from(
    [
        "true",
        "false",
        '"1"',
        '"2014-01-01"',
        '"\\ud83d\\ude00"',
        '"\\ud800"',
        "[1]",
        "{}",
        '{"a":1}',
        "[[[]]]",
        "tru",
        "[" * 40 + "]" * 40,
        "NaN",
        "-Infinity",
        "01",
        ".5",
        "1.",
        "+1",
        "1e39",
        "1e999",
        "9" * 310,
    ]
)
gaps = st.sampled_from(["", "", " ", "\n", "\t\r "])


def seldom(usual: st.SearchStrategy[str], other: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.integers(0, 24).flatmap(lambda roll: other if roll == 0 else usual)


numeric = seldom(spelt | st.just("null"), odd | texts)
plan = seldom(texts, odd | spelt)


@st.composite
def objects(draw: Any, live: LiveVersion, folded: bool) -> str:
    names = draw(st.permutations([*live.contract.names, *([live.key] if live.key else [])]))
    if draw(st.integers(0, 19)) == 0:
        names = [*names[draw(st.integers(0, 1)) :], *draw(st.lists(st.sampled_from(["SPENT", "X", "ID"]), max_size=1))]
    if folded and draw(st.booleans()):
        names = [name.lower() for name in names]
    gap = draw(gaps)
    return "{" + ",".join(f'{gap}"{name}"{gap}:{draw(value_of(live, name.upper()))}' for name in names) + gap + "}"


def value_of(live: LiveVersion, name: str) -> st.SearchStrategy[str]:
    if name == "ID":
        return st.sampled_from(["1", '"c-1"', "null", '"ä"'])
    return plan if name == "PLAN" and live.contract is CONTRACT else numeric


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
        number = draw(seldom(st.just(str(number)), st.sampled_from(["-1", "0.0", "true", '"0"', "00", "-0"])))
        inner = [draw(objects(live, False))] if as_object else [draw(value_of(live, name)) for name in names]
        inner = inner[: len(inner) - (draw(st.integers(0, 29)) == 0)]
        rows.append("[" + ("," + draw(gaps)).join([number, *inner]) + "]")
    return wrapped("data", rows, draw(gaps), draw(st.integers(0, 29))), live, signature


@st.composite
def named_rows(draw: Any) -> tuple[bytes, LiveVersion]:
    live = draw(st.sampled_from(MODELS))
    rows = [draw(objects(live, True)) for _ in range(draw(st.integers(0, 4)))]
    return wrapped("rows", rows, draw(gaps), draw(st.integers(0, 29))), live


def wrapped(field: str, rows: list[str], gap: str, oddity: int) -> bytes:
    inner = f"{gap},{gap}".join(rows)
    before = '"more":1,' if oddity == 0 else f'"{field}":[],' if oddity == 1 else ""
    return f'{gap}{{{gap}{before}"{field}"{gap}:[{inner}]{gap}}}{gap}'.encode()


@st.composite
def inferences(draw: Any) -> tuple[bytes, LiveVersion]:
    live, rows = draw(st.sampled_from(MODELS[:2])), draw(st.integers(1, 4))
    if live.contract is NUMBERS and draw(st.booleans()):
        return wrapped("inputs", [draw(tensors("features", rows, 3, numeric))], draw(gaps), 9), live
    names = draw(st.permutations(live.contract.names))
    given_tensors = [draw(tensors(name, rows, 1, value_of(live, name))) for name in names]
    return wrapped("inputs", given_tensors, draw(gaps), draw(st.integers(0, 29))), live


@st.composite
def tensors(draw: Any, name: str, rows: int, width: int, value: st.SearchStrategy[str]) -> str:
    kind = "BYTES" if value is plan else draw(st.sampled_from(["FP32", "FP32", "FP64", "INT8", "INT64", "BOOL"]))
    of_kind = {"BOOL": st.sampled_from(["true", "false"]), "INT8": st.integers(-130, 130).map(str),
               "INT64": st.integers(-(2**63), 2**63).map(str)}  # fmt: skip
    table = [[draw(of_kind.get(kind, value)) for _ in range(width)] for _ in range(rows)]
    nested = draw(st.booleans())
    data = ",".join(f"[{','.join(row)}]" if nested else ",".join(row) for row in table)
    shape = f"[{rows}]" if width == 1 and draw(st.booleans()) else f"[{rows},{width}]"
    return f'{{"name":"{name}","datatype":"{kind}","shape":{shape},"data":[{data}]}}'


# The comparison


def outcome(read: Callable[[], Any]) -> bytes | None:
    """The matrix's bytes, None for a refusal."""
    try:
        return np.array(read(), dtype=np.float32).reshape(-1, 3).tobytes()
    except (CallerError, Refusal):
        return None


def hold(
    cases: st.SearchStrategy[Any], decode: Callable[..., Any], plainly: Callable[..., Matrix], wanted: int
) -> Counter[str]:
    """Compare both readings of ``wanted`` generated bodies, each made one also cut short and with a byte changed."""
    told = Counter[str]()
    quick = settings(
        max_examples=min(EXAMPLES_A_ROUND, wanted // 3),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )

    def compare(case: tuple[Any, ...], at: int, byte: int) -> None:
        body, *rest = case
        place = at % len(body)
        for variant in (body, body[:place], body[:place] + bytes([byte]) + body[place + 1 :]):
            found = outcome(lambda variant=variant: decode(variant, *rest).matrix)
            assert found == outcome(lambda variant=variant: plainly(variant, *rest)), variant
            told["bodies"] += 1
            told["taken"] += found is not None

    damage = st.sampled_from(b'0129.,-+eE[]{}": \x00\xff\xc3nul\\')
    for turn in count():
        seed(turn)(quick(given(cases, st.integers(0, 2**16), damage)(compare)))()
        if told["bodies"] >= wanted:
            break
    print(dict(told))
    return told


FORMS: dict[str, tuple[Any, Any, Any]] = {
    "batch": (batches(), snowflake.decode_batch, batch_read_plainly),
    "named": (named_rows(), lambda body, live: named.decode(body, live, {}), named_read_plainly),
    "inference": (inferences(), lambda body, live: Exchange().decode(body, live, {}), inference_read_plainly),
}
SHARES = {"batch": 2, "named": 1, "inference": 1}  # of the bodies; a million in all


@pytest.mark.parametrize("form", FORMS)
def test_a_decoder_reads_what_a_plain_reading_reads(form: str, long: bool) -> None:
    told = hold(*FORMS[form], SHARES[form] * (BODIES_LONG if long else BODIES_SHORT))
    assert told["taken"] > told["bodies"] / 20
