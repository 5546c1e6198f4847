"""The same figures for models of other dimensions, so that a gain is not that of one model.

Prediction alone is measured for all of them; the embedded service for all but the standard one, which the rounds measure.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks.serving import workload
from benchmarks.serving.measurement import limit, rounds
from benchmarks.serving.measurement.rounds import Figures, Point, Tell
from benchmarks.serving.servers import processes
from benchmarks.serving.servers.server import Place, Server
from benchmarks.serving.workload import STANDARD, Dimensions

#: A body of 4,096 rows of 200 such numbers would be larger than API Gateway's limit of 10 MB.
LONG = Point(1000, 4, long=True)
FULL = Point(4096, 4)


@dataclass(frozen=True)
class Variation:
    """``predictor``: what evaluates the trees, ``compiled`` or ``xgboost``. ``alone_us``, ``predict_us``: CPU time a row of a
    prediction of 4,096 rows, by ``inplace_predict`` and by this project. ``figures``: of the embedded service, if it was
    measured.
    """

    dimensions: Dimensions
    predictor: str
    alone_us: float
    predict_us: float
    figures: dict[Point, Figures]

    @property
    def gain(self) -> float:
        """How many times as fast prediction is."""
        return self.alone_us / self.predict_us


def measure(
    wanted: Sequence[Dimensions],
    server: Callable[[Place], Server] | None,
    place: Place,
    count: int,
    seconds: float,
    tell: Tell,
) -> list[Variation]:
    """Medians of ``count`` rounds with windows of ``seconds``. ``server``: makes the embedded service; None: without it."""
    found = []
    for dimensions in wanted:
        tell(f"{dimensions}: prediction alone")
        data = place.workload if dimensions == STANDARD else workload.make(dimensions)
        alone_us, predict_us = _predictions_us(replace(place, workload=data), count)
        figures: dict[Point, Figures] = {}
        if server is not None and dimensions != STANDARD:
            tell(f"{dimensions}: the service")
            folder = place.folder / f"{dimensions.features}-{dimensions.trees}-{dimensions.depth}"
            figures = _service(server(replace(place, folder=folder, workload=data)), count, seconds)
        found.append(Variation(dimensions, data.model.predictor.name, alone_us, predict_us, figures))
    return found


def _predictions_us(place: Place, count: int) -> tuple[float, float]:
    costs: dict[str, list[float]] = {}
    rows = FULL.rows
    with processes.on_cores(set(place.server_cores)):
        for _ in range(count):
            for name, call in limit.predictions(place.workload, rows).items():
                costs.setdefault(name, []).append(limit.cost_us(call, rows))
    return statistics.median(costs[limit.ALONE]), statistics.median(costs[limit.PREDICT])


def _service(server: Server, count: int, seconds: float) -> dict[Point, Figures]:
    try:
        server.start()
        return rounds.figures(server, (FULL, LONG), count, seconds)
    finally:
        server.stop()
