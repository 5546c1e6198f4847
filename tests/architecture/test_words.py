"""Texts are plain technical English: words that make a reader stop are not used in code, messages and documents."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("app", "localcloud", "sagemaker_entry", "infra", "examples", "tests", "benchmarks", "docs")
SUFFIXES = {".py", ".md", ".yaml", ".sql", ".toml"}

#: Word -> what to write instead.
AVOID = {
    "anew": "again",
    "as ever": "as before",
    "beside": "next to, besides",
    "hence": "so",
    "in vain": "without effect",
    "left alone": "not changed",
    "mended?": "fixed",
    "not to be had": "not available",
    "nobody": "no caller, no one; or name the subject",
    "of its own accord": "by itself",
    "somebody": "a caller, a user",
    "spelt": "written",
    "the (one )?surprise": "state the fact",
    "(is|are) told": "receives; is sent",
    "told (apart )?by": "chosen by",
    "whoever": "any caller that",
    "whom": "name the subject",
}


def test_texts_use_the_words_of_the_field() -> None:
    pattern = re.compile(rf"\b({'|'.join(AVOID)})\b", re.IGNORECASE)
    files = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "Makefile"]
    for folder in FOLDERS:
        files += [path for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES and path != Path(__file__)]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]!r}"
        for path in sorted(files)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for match in pattern.finditer(line)
    ]
    assert found == []
