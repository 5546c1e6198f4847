"""Policies, and the tables, views and columns that they are set on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, ClassVar

from localcloud.snowflake.objects.references import References, Target
from localcloud.snowflake.objects.store import SchemaObject, Store
from localcloud.snowflake.sql.syntax import Argument, Path, Type


@dataclass(eq=False, kw_only=True)
class Policy(SchemaObject):
    kind: ClassVar[str]

    arguments: tuple[Argument, ...]
    returns: Type
    body: str

    @property
    def signature(self) -> str:
        return f"({', '.join(f'{one.name} {one.type}' for one in self.arguments)})"


@dataclass(eq=False, kw_only=True)
class MaskingPolicy(Policy):
    kind = "MASKING_POLICY"


@dataclass(eq=False, kw_only=True)
class RowAccessPolicy(Policy):
    kind = "ROW_ACCESS_POLICY"


class PolicyReferences(References[Policy, tuple[str, ...]]):
    """Masking policies on columns, and row access policies on tables and views; the values are the columns of their arguments."""

    def __init__(self, masking: Store[MaskingPolicy], row_access: Store[RowAccessPolicy]) -> None:
        super().__init__()
        self._stores: dict[str, Store[Any]] = {MaskingPolicy.kind: masking, RowAccessPolicy.kind: row_access}

    def masks(self, path: Path) -> dict[str, tuple[Policy, tuple[str, ...]]]:
        """The masking policies of a table's or view's columns."""
        return {
            target.parts[3]: (policy, columns)
            for target, policy, columns in self.all()
            if target.domain == "COLUMN" and target.parts[:3] == path
        }

    def row_access(self, path: Path) -> tuple[Policy, tuple[str, ...]] | None:
        """The row access policy of a table or view, which has at most one."""
        return next(iter(self.on(Target("TABLE", path)).items()), None)

    def protected(self) -> set[Path]:
        """The tables and views with a policy."""
        return {(target.parts[0], target.parts[1], target.parts[2]) for target, _, _ in self.all()}

    def uses(self, policy: Policy) -> bool:
        """Whether the policy is set on anything."""
        return any(one is policy for _, one, _ in self.all())

    def used_columns(self, path: Path) -> set[str]:
        """The columns of a table that are masked, or that arguments take."""
        found = set(self.masks(path))
        for target, _, columns in self.all():
            if target.parts[:3] == path:
                found |= set(columns)
        return found

    def rename(self, moves: dict[tuple[str, ...], tuple[str, ...]]) -> None:
        """Also of the columns that arguments take."""
        with self._lock:
            for target, policy, columns in self.all():
                named = [moves.get((*target.parts[:3], column), (column,))[-1] for column in columns]
                self.set(target, policy, tuple(named))
            super().rename(moves)

    def saved(self, folder: FilePath) -> Any:  # noqa: ARG002  # no files
        return [
            [target.domain, target.parts, policy.kind, policy.path, columns] for target, policy, columns in self.all()
        ]

    def restore(self, saved: Any, folder: FilePath) -> None:  # noqa: ARG002  # no files
        for domain, parts, kind, (database, schema, name), columns in saved:
            if (policy := self._stores[kind].at((database, schema, name))) is not None:
                self.set(Target(domain, tuple(parts)), policy, tuple(columns))
