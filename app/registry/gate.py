"""The gate: whether a trained model is good enough to go live. Pure; each bound gives one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import GateRefused
from app.registry.versions import RegisteredVersion
from app.spec.schema import MORE_IS_BETTER, Gate


@dataclass(frozen=True)
class Verdict:
    """``passed``: every bound held. ``sentences``: one for each bound, and the warnings of the training."""

    passed: bool
    sentences: tuple[str, ...]


def judge(gate: Gate, report: Mapping[str, Any], incumbent: Mapping[str, Any] | None) -> Verdict:
    """Compare a report with the gate. ``incumbent``: the report of the version in production, or None.

    Margins are signed so that more is better; the sign is inverted for metrics of which less is better.
    """
    name = gate.metric
    value = float(report["metrics"]["test"][name])
    sign = 1.0 if MORE_IS_BETTER[name] else -1.0
    checks: list[tuple[bool, str]] = []
    if gate.at_least is not None:
        checks.append((value >= gate.at_least, f"{name} {value:.4f} (minimum {gate.at_least:g})"))
    if gate.at_most is not None:
        checks.append((value <= gate.at_most, f"{name} {value:.4f} (maximum {gate.at_most:g})"))
    if gate.better_than_single_column_by is not None:
        single = report["single_columns"][name][0]
        margin = sign * (value - float(single["value"]))
        text = (
            f"{name} {value:.4f} is {margin:+.4f} from {single['column']} alone, {single['value']:.4f} "
            f"(minimum {gate.better_than_single_column_by:+g})"
        )
        checks.append((margin >= gate.better_than_single_column_by, text))
    if gate.at_most_below_incumbent is not None and incumbent is not None and name in incumbent["metrics"]["test"]:
        before = float(incumbent["metrics"]["test"][name])
        margin = sign * (value - before)
        allowed = -gate.at_most_below_incumbent
        text = f"{name} {value:.4f} is {margin:+.4f} from production, {before:.4f} (minimum {allowed:+g})"
        checks.append((margin >= -gate.at_most_below_incumbent, text))
    checks += _number_checks(gate, report)
    sentences = [f"{'passed' if held else 'failed'}: {text}" for held, text in checks]
    sentences += [f"warning: {text}" for text in report.get("warnings", ())]
    return Verdict(all(held for held, _ in checks), tuple(sentences))


def _number_checks(gate: Gate, report: Mapping[str, Any]) -> list[tuple[bool, str]]:
    """For a number as the label: the error against the mean label's, and R². Few models fail both for another reason than
    that they learned nothing: a skewed label's mean is easy to beat by mae, and R² is not moved by that.
    """
    found, mean = report["metrics"]["test"], report.get("mean", {})
    error = "mae" if gate.metric == "mae" else "rmse"
    if "r2" not in found or error not in mean:
        return []
    value, before = float(found[error]), float(mean[error])
    below = 1 - value / before if before else 0.0
    bound = gate.better_than_mean_by
    return [
        (
            below >= bound,
            f"{error} {value:.4f} is {below:+.1%} below the mean label's, {before:.4f} (minimum {bound:+.1%})",
        ),
        (found["r2"] >= gate.r2_at_least, f"r2 {found['r2']:.4f} (minimum {gate.r2_at_least:g})"),
    ]


def refuse_rejected(version: RegisteredVersion) -> None:
    """Raise GateRefused for a rejected version: neither an endpoint nor a table gets its scores."""
    if version.stage == "rejected":
        bounds = "\n".join(f"  {sentence}" for sentence in version.verdict)
        raise GateRefused(
            f"{version.model} {version.version} did not pass the gate and does not go live:\n{bounds}\n"
            "change the features, the training or training.gate"
        )
