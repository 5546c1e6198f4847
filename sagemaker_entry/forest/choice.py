"""What evaluates a model's trees: the compiled forest, or XGBoost itself. The rule is ``choose``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sagemaker_entry.contract import Contract

if TYPE_CHECKING:
    from sagemaker_entry.forest.forest import Forest, Matrix


@dataclass(frozen=True)
class Predictor:
    """``forest``: None if XGBoost evaluates the trees; ``reason``: why it does, as the end of a sentence.
    ``distrusted``: the forest would be used, but its scores were others than XGBoost's."""

    forest: Forest | None = None
    reason: str = ""
    distrusted: bool = False

    @property
    def name(self) -> str:
        """``compiled`` or ``xgboost``."""
        return "compiled" if self.forest else "xgboost"


def choose(
    document: Mapping[str, Any], predict: Callable[[Matrix], Matrix], contract: Contract, threads: int
) -> Predictor:
    """The predictor of a saved booster that ``structure`` has checked, whose own scores ``predict`` gives.

    XGBoost evaluates a booster without trees or with an objective that is not listed in ``objectives``, any booster where numba is
    not installed, as in SageMaker's image, and one whose forest does not give the booster's scores bit for bit.
    """
    try:
        from sagemaker_entry.forest.forest import Forest, Unsupported
        from sagemaker_entry.forest.trust import agrees
    except ImportError:
        return Predictor(reason="numba is not installed")
    try:
        forest = Forest.of(document, threads)
    except Unsupported as reason:
        return Predictor(reason=str(reason))
    if not agrees(forest, predict, contract):
        return Predictor(reason="its compiled scores differ from XGBoost's", distrusted=True)
    return Predictor(forest)
