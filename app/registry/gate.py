"""The gate: whether a trained model is good enough to go live. Pure; each bound gives one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import GateRefused
from app.registry.versions import RegisteredVersion
from app.spec.schema import Gate


@dataclass(frozen=True)
class Verdict:
    """``passed``: every bound held. ``sentences``: one for each bound."""

    passed: bool
    sentences: tuple[str, ...]


def judge(gate: Gate, report: Mapping[str, Any], incumbent: Mapping[str, Any] | None) -> Verdict:
    """Compare a report with the gate. ``incumbent``: the report of the version in production, or None.

    Margins are signed so that more is better; the sign is inverted for metrics of which less is better.
    """
    name = gate.metric
    value = float(report["metrics"]["test"][name])
    sign = 1.0 if report["more_is_better"] else -1.0
    checks: list[tuple[bool, str]] = []
    if gate.at_least is not None:
        checks.append((value >= gate.at_least, f"{name} {value:.4f} (minimum {gate.at_least:g})"))
    if gate.at_most is not None:
        checks.append((value <= gate.at_most, f"{name} {value:.4f} (maximum {gate.at_most:g})"))
    if gate.better_than_single_column_by is not None:
        single = report["single_column"]
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
    return Verdict(
        all(held for held, _ in checks), tuple(f"{'passed' if held else 'failed'}: {text}" for held, text in checks)
    )


def refuse_rejected(version: RegisteredVersion) -> None:
    """Raise GateRefused for a rejected version: neither an endpoint nor a table gets its scores."""
    if version.stage == "rejected":
        bounds = "\n".join(f"  {sentence}" for sentence in version.verdict)
        raise GateRefused(
            f"{version.model} {version.version} did not pass the gate and does not go live:\n{bounds}\n"
            "change the features, the training or training.gate"
        )
