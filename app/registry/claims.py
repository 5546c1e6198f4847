"""Version numbers: each belongs to the run that first creates its object on S3, ``<pipeline>/versions/<number>.json``.

Rows of the registry cannot decide this, because Snowflake enforces no keys: two runs that read it at the same time see the same
latest number.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from app.errors import NotFound
from app.ports import ObjectStore
from app.registry.versions import RegisteredVersion, next_number, numbers_of


def claim_number(
    store: ObjectStore, bucket: str, version: RegisteredVersion, existing: list[RegisteredVersion]
) -> RegisteredVersion:
    """``version`` with the next number that no other run has. A run that claims again gets its number back."""
    fingerprint = version.made_contract().fingerprint
    body = json.dumps({"run_id": version.run_id, "fingerprint": fingerprint}).encode()
    taken = numbers_of(existing)
    while True:
        number = next_number(taken, fingerprint)
        uri = f"s3://{bucket}/{version.model}/versions/{number}.json"
        if store.replace(uri, body, None) is not None:
            return replace(version, version=str(number))
        try:
            claim = _read(store, uri)
        except NotFound:
            continue  # the other run's request failed after it had stopped this one
        if claim.get("run_id") == version.run_id:
            return replace(version, version=str(number))
        taken[number] = str(claim.get("fingerprint", ""))


def _read(store: ObjectStore, uri: str) -> dict[str, Any]:
    try:
        found = json.loads(store.read(uri))
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
