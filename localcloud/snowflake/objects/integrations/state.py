"""Integrations of an account, and the locations that they allow."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from localcloud.snowflake.failures import compilation, missing_object
from localcloud.snowflake.objects.integrations.syntax import CreateApiIntegration, CreateStorageIntegration
from localcloud.snowflake.sessions.state import State


@dataclass(frozen=True)
class Integration:
    """``external_id`` is the id in the AWS trust policy; CREATE OR REPLACE generates a new one."""

    definition: CreateStorageIntegration | CreateApiIntegration
    external_id: str
    created: datetime

    @property
    def kind(self) -> str:
        return "STORAGE" if isinstance(self.definition, CreateStorageIntegration) else "API"


class Integrations(State):
    """Integrations by name, thread-safe. ``account`` is the account's name, which is part of external ids."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._integrations: dict[str, Integration] = {}
        self._lock = threading.Lock()

    def create(self, definition: CreateStorageIntegration | CreateApiIntegration) -> None:
        """Add an integration, replacing an earlier one."""
        given = getattr(definition, "external_id", None)
        external_id = given or f"{self._account}_SFCRole=2_{uuid.uuid4().hex[:20]}="
        self.put(Integration(definition, external_id, datetime.now(UTC)))

    def __contains__(self, name: str) -> bool:
        with self._lock:
            return name in self._integrations

    def put(self, integration: Integration) -> None:
        with self._lock:
            self._integrations[integration.definition.name.name] = integration

    def get(self, name: str, kind: str | None = None) -> Integration:
        """The integration. ``kind`` is STORAGE or API; an integration of the other kind raises 2003."""
        with self._lock:
            found = self._integrations.get(name)
        if found is None or (kind is not None and found.kind != kind):
            raise missing_object(name, "Integration")
        return found

    def all(self) -> list[Integration]:
        """All integrations, ordered by name."""
        with self._lock:
            return [self._integrations[name] for name in sorted(self._integrations)]

    def drop(self, name: str) -> bool:
        with self._lock:
            return self._integrations.pop(name, None) is not None


def check_location(url: str, integration: Integration) -> None:
    """Raise for a stage URL outside the integration's allowed locations."""
    definition = integration.definition
    assert isinstance(definition, CreateStorageIntegration)
    _check_enabled(integration)
    target = url if url.endswith("/") else f"{url}/"
    if _within(target, definition.blocked_locations) or not (
        "*" in definition.allowed_locations or _within(target, definition.allowed_locations)
    ):
        name = definition.name.name
        raise compilation(
            3_088,
            "42501",
            f"Location '{url}' is not allowed by integration {name}. "
            "Please use DESC INTEGRATION to check out allowed and blocked locations.",
        )


def check_prefix(url: str, integration: Integration) -> CreateApiIntegration:
    """Return the integration's definition; raises for a function URL outside its allowed prefixes."""
    definition = integration.definition
    assert isinstance(definition, CreateApiIntegration)
    _check_enabled(integration)
    if url.startswith(definition.blocked_prefixes or ("\0",)) or not url.startswith(definition.allowed_prefixes):
        name = definition.name.name
        raise compilation(
            90_255,
            "42501",
            f"External function URL '{url}' is not allowed by API integration {name}. "
            "Use DESC INTEGRATION to check its allowed and blocked prefixes.",
        )
    return definition


def _check_enabled(integration: Integration) -> None:
    if not integration.definition.enabled:
        raise compilation(90_256, "42501", f"Integration '{integration.definition.name.name}' is not enabled.")


def _within(url: str, locations: tuple[str, ...]) -> bool:
    return any(url.startswith(prefix if prefix.endswith("/") else f"{prefix}/") for prefix in locations)
