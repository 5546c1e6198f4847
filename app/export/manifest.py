"""The manifest of an unload: its files, their rows, and the contract. It is written last and commits the unload."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sagemaker_entry.contract import Contract


@dataclass(frozen=True)
class ExportedFile:
    """One Parquet file. ``name`` is its path below the manifest's folder."""

    name: str
    rows: int
    size_bytes: int


@dataclass(frozen=True)
class Export:
    """The result of the export stage. ``uri``: the folder of the manifest and the files."""

    uri: str
    contract: dict[str, Any]
    rows: int
    files: tuple[ExportedFile, ...]
    sort_key: tuple[str, ...]

    def made_contract(self) -> Contract:
        """The contract as its own type."""
        return Contract.from_dict(self.contract)

    def to_json(self) -> bytes:
        """The manifest's bytes, as the entry code reads them."""
        body = {**self.__dict__, "files": [file.__dict__ for file in self.files]}
        return json.dumps(body, indent=1).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Export:
        """The manifest in ``body``."""
        fields = json.loads(body)
        files = tuple(ExportedFile(**file) for file in fields["files"])
        return cls(**{**fields, "files": files, "sort_key": tuple(fields["sort_key"])})
