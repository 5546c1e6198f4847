"""What all blocks of a pipeline file have in common: no other keys, and values that do not change."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Block(BaseModel):
    """A block."""

    model_config = ConfigDict(extra="forbid", frozen=True)
