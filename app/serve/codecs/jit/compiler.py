"""The compiler of this package, whose code reads and writes bodies byte by byte."""

from __future__ import annotations

from pathlib import Path

from sagemaker_entry.compilation import Compiler, forced, inlined

__all__ = ["compiled", "forced", "inlined"]

compiled = Compiler(Path(__file__).parent)
