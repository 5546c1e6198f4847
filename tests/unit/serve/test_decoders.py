"""The decoders against the reference decoder: the same matrix to the bit, or a short error without values where it rejects too.

This covers both the compiled readers and the general path. ``SNOWSAGE_FUZZ_BODIES``: the number of bodies from Hypothesis, half of
them batches, and of further random batches, whose seed is ``SNOWSAGE_FUZZ_SEED``.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from app.errors import CallerError
from app.serve.codecs import named_rows, snowflake
from app.serve.codecs.open_inference import open_inference
from app.serve.rows import Rows
from tests.unit.serve import reference_reader

from . import bodies

# Selected by `make test-slow`, too, with more bodies.
pytestmark = pytest.mark.hypothesis

BODIES = int(os.environ.get("SNOWSAGE_FUZZ_BODIES", "800"))
EXAMPLES_A_ROUND = 5_000


def agreed(body: bytes, decode: Callable[[], Rows], plainly: Callable[[], reference_reader.Matrix]) -> bool:
    """Whether both decoders accept ``body``. Fails the test if they disagree."""
    found, said = None, ""
    try:
        found = decode().matrix.reshape(-1, 3).tobytes()
    except CallerError as refusal:
        said = str(refusal)
    assert len(said) < 700, body
    assert not re.search(r"\d{10}", said), body
    wanted = None
    with suppress(reference_reader.Refusal):
        wanted = np.array(plainly(), dtype=np.float32).tobytes()
    assert found == wanted, body
    return found is not None


def hold(
    cases: st.SearchStrategy[Any],
    decode: Callable[..., Rows],
    plainly: Callable[..., reference_reader.Matrix],
    wanted: int,
) -> Counter[str]:
    """Compare both decoders for ``wanted`` bodies: each generated body, the same truncated, and the same with one byte changed."""
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
            told["taken"] += agreed(
                variant,
                lambda variant=variant: decode(variant, *rest),
                lambda variant=variant: plainly(variant, *rest),
            )
            told["bodies"] += 1

    for turn in count():
        seed(turn)(quick(given(cases, st.integers(0, 2**16), st.sampled_from(bodies.DAMAGE))(compare)))()
        if told["bodies"] >= wanted:
            break
    print(dict(told))
    return told


FORMS: dict[str, tuple[Any, Any, Any]] = {
    "batch": (bodies.batches(), snowflake.decode_batch, reference_reader.batch),
    "named": (bodies.named_rows(), lambda body, live: named_rows.decode(body, live, {}), reference_reader.named),
    "inference": (
        bodies.inferences(),
        lambda body, live: open_inference().decode(body, live, {}),
        reference_reader.inference,
    ),
}
SHARES = {"batch": 2, "named": 4, "inference": 4}  # one in so many bodies


@pytest.mark.parametrize("codec", FORMS)
def test_a_decoder_agrees_with_the_reference_decoder(codec: str) -> None:
    told = hold(*FORMS[codec], BODIES // SHARES[codec])
    assert told["taken"] > told["bodies"] / 20


def test_random_batches_are_decoded_as_by_the_reference_decoder() -> None:
    chance, live = random.Random(int(os.environ.get("SNOWSAGE_FUZZ_SEED", "5"))), bodies.MODELS[0]
    taken = 0
    for _ in range(BODIES):
        body = bodies.random_batch(chance)
        taken += agreed(
            body,
            lambda body=body: snowflake.decode_batch(body, live, None),
            lambda body=body: reference_reader.batch(body, live, None),
        )
    assert BODIES / 10 < taken < BODIES * 9 / 10
