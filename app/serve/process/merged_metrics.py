"""Metrics of several processes in Prometheus's text format, merged into one text in which each sample has a worker label."""

from __future__ import annotations

from collections.abc import Mapping


def merge(texts: Mapping[str, bytes]) -> bytes:
    """The samples of all ``texts``, each with its text's key as its label ``worker``; a family's HELP and TYPE appear once.

    The texts come from ``generate_latest``: each family starts with its HELP.
    """
    families: dict[str, tuple[list[str], list[str]]] = {}
    for worker, text in texts.items():
        samples: list[str] = []
        fresh = False
        # Not splitlines, which also splits at characters inside of a label.
        for line in text.decode().rstrip("\n").split("\n"):
            if line.startswith("# HELP "):
                head, samples = families.setdefault(line.split(" ", 3)[2], ([], []))
                fresh = not head
            if not line.startswith("#"):
                samples.append(_labelled(line, worker))
            elif fresh:
                head.append(line)
    lines = [line for head, samples in families.values() for line in (*head, *samples)]
    return "".join(f"{line}\n" for line in lines).encode()


def _labelled(sample: str, worker: str) -> str:
    # A name contains neither a brace nor a space, so the first of them ends it; the labels are not parsed.
    name, brace, rest = sample.partition("{")
    if brace and " " not in name:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'
