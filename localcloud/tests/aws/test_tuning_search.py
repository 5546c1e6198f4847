"""Search strategies and stopping rules without training jobs."""

from __future__ import annotations

import math
import statistics

import pytest

from localcloud.aws.sagemaker.tuning.early_stopping import MedianStopping, SuccessiveHalving
from localcloud.aws.sagemaker.tuning.parameter_ranges import Space, read_space
from localcloud.aws.sagemaker.tuning.strategies import BayesianSearch, RandomSearch, SearchStrategy, Trial

_CURVED = {
    "ContinuousParameterRanges": [
        {"Name": "rate", "MinValue": "0.0001", "MaxValue": "1", "ScalingType": "Logarithmic"},
        {"Name": "share", "MinValue": "0", "MaxValue": "1", "ScalingType": "Linear"},
    ],
    "IntegerParameterRanges": [{"Name": "depth", "MinValue": "1", "MaxValue": "12"}],
    "CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b", "c"]}],
}


def _loss(values: dict[str, str]) -> float:
    """A loss with its minimum at rate 0.01, share 0.6, depth 5, kind b."""
    return (
        (math.log10(float(values["rate"])) + 2) ** 2
        + 4 * (float(values["share"]) - 0.6) ** 2
        + (int(values["depth"]) - 5) ** 2 / 10
        + (values["kind"] != "b")
    )


def _best(search: SearchStrategy, rounds: int, at_once: int = 1) -> float:
    seen: list[Trial] = []
    running: list[dict[str, str]] = []
    while len(seen) < rounds:
        while len(running) < at_once:
            values = search.next(seen, running)
            assert values is not None
            running.append(values)
        done = running.pop(0)
        seen.append(Trial(done, _loss(done)))
    return min(trial.loss for trial in seen)


def _space() -> Space:
    return read_space(_CURVED)


@pytest.mark.slow
def test_bayesian_search_beats_random_search() -> None:
    drawn = [_best(RandomSearch(_space(), seed), 20) for seed in range(9)]
    modelled = [_best(BayesianSearch(_space(), seed), 20, at_once=2) for seed in range(3)]
    assert statistics.median(modelled) < statistics.median(drawn) / 2


def test_parallel_jobs_get_different_hyperparameters() -> None:
    search = BayesianSearch(_space(), 1)
    seen = [Trial(values, _loss(values)) for values in (_space().at([u, u, u, u]) for u in (0.1, 0.4, 0.6, 0.9))]
    running: list[dict[str, str]] = []
    for _ in range(4):
        values = search.next(seen, running)
        assert values is not None
        assert values not in running
        running.append(values)


def test_a_small_space_is_exhausted_after_one_try_of_each_point() -> None:
    space = read_space({"CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b", "c"]}]})
    seen = [Trial({"kind": kind}, float(ord(kind))) for kind in "abc"]
    assert BayesianSearch(space, 0).next(seen, []) is None


def test_scaling_types_map_the_unit_interval() -> None:
    space = read_space(
        {
            "ContinuousParameterRanges": [
                {"Name": "log", "MinValue": "0.001", "MaxValue": "10", "ScalingType": "Logarithmic"},
                {"Name": "reverse", "MinValue": "0.9", "MaxValue": "0.999", "ScalingType": "ReverseLogarithmic"},
            ],
            "IntegerParameterRanges": [{"Name": "count", "MinValue": "1", "MaxValue": "4"}],
        }
    )
    assert [item.name for item in space.ranges] == ["count", "log", "reverse"]
    middle = space.at([0.5, 0.5, 0.5])
    assert float(middle["log"]) == pytest.approx(0.1)
    assert float(middle["reverse"]) == pytest.approx(0.99)
    counts = [space.at([unit / 100, 0, 0])["count"] for unit in range(100)]
    assert {value: counts.count(value) for value in set(counts)} == {"1": 25, "2": 25, "3": 25, "4": 25}
    assert space.at(space.units(middle)) == middle


def test_the_median_rule_compares_running_averages_up_to_the_same_epoch() -> None:
    rule = MedianStopping()
    others = [[4.0, 2.0], [2.0, 2.0], [9.0]]
    assert not rule.stops([3.0], [])
    assert not rule.stops([4.0], others)
    assert rule.stops([4.1], others)
    # The averages of the two jobs that reached epoch 2 are 3 and 2.
    assert not rule.stops([9.0, 2.5], others)
    assert rule.stops([9.0, 2.6], others)


def test_successive_halving_keeps_the_best_third_at_every_rung() -> None:
    rule = SuccessiveHalving(1, 9)
    assert not rule.stops([5.0], [])
    assert rule.stops([6.0], [])
    assert not rule.stops([4.0], [])
    assert not rule.stops([4.0, 9.0], [])
    assert not rule.stops([4.0, 4.0, 4.0], [])
    assert rule.stops([5.0, 5.0, 5.0], [])
    assert rule.stops([1.0] * 9, [])
