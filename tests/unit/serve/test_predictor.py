"""The predictor's decision to score on the event loop."""

from __future__ import annotations

import gzip
import zlib

import orjson
import pytest

from app.serve.deadline import Deadline
from app.serve.models.live_models import LiveModels
from app.serve.request import PredictionRequest
from app.serve.scoring.predictor import Predictor
from app.serve.scoring.scorer import ScorerWrapper

from .fakes import BUCKET, MemoryStore, live_version

FEW = orjson.dumps({"data": [[0, 1, 2, 3]]})
#: Hundreds of thousands of rows in less than a kilobyte.
BOMB = orjson.dumps({"data": [[0, 1, 2, 3]]}) + b" " * 800_000


class AtOnce(ScorerWrapper):
    def __init__(self) -> None:
        pass

    def inline(self, live: object) -> bool:
        return True


@pytest.mark.parametrize(
    ("raw", "encoding", "inline"),
    [
        (FEW, "", True),
        (gzip.compress(FEW), "gzip", True),
        (zlib.compress(FEW), "deflate", True),
        (BOMB, "", False),
        (gzip.compress(BOMB), "gzip", False),
        (gzip.compress(BOMB), "", False),
        (zlib.compress(BOMB), "deflate", False),
        (gzip.compress(FEW)[:-4], "gzip", False),
    ],
)
def test_only_bodies_that_are_short_unpacked_are_scored_on_the_loop(raw: bytes, encoding: str, inline: bool) -> None:
    models = LiveModels(MemoryStore(live_version()), BUCKET)  # type: ignore[arg-type]
    models.load()
    scorer = AtOnce()
    predictor = Predictor(models, {"endpoint": scorer, "embedded": scorer}, 10**7, 65_536)
    assert len(raw) < 2048 or not encoding
    request = PredictionRequest("churn", {"content-encoding": encoding}, Deadline.after(1), raw)
    predictor.find(request)
    assert predictor.inline(request) is inline
