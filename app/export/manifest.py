"""The manifest of an unload: which files hold how many rows, of which contract. Written last; it is the commit."""

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
    """What the export stage hands down. ``uri``: the folder that holds manifest and files."""

    uri: str
    contract: dict[str, Any]
    rows: int
    files: tuple[ExportedFile, ...]
    sort_key: tuple[str, ...]

    def made_contract(self) -> Contract:
        """The contract as a value of its own type."""
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
