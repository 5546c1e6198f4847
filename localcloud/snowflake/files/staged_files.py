"""Local copies of staged files that DuckDB can read: fetched, decompressed, and with CSV escapes removed.

DuckDB does not support backslash escapes outside quotes. In a CSV file with escapes, each escaped special character is
replaced by a character of Unicode's private use area, and ``unescape`` restores it in the reader's SQL.
"""

from __future__ import annotations

import bz2
import gzip
import mmap
import re
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from localcloud.snowflake.failures import failure
from localcloud.snowflake.objects.stages.format_options import Format
from localcloud.snowflake.objects.stages.locations import FileLocation
from localcloud.snowflake.objects.stages.storage import StoredObject

_MAGIC = ((b"\x1f\x8b", "GZIP"), (b"\x28\xb5\x2f\xfd", "ZSTD"), (b"BZh", "BZ2"))
_BY_NAME = {".deflate": "DEFLATE", ".br": "BROTLI"}
_CHUNK = 2**20
_PRIVATE = 0xE000
_WORDS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"f": b"\f", b"0": b"\0"}


@dataclass(frozen=True)
class StagedFile:
    """``shown`` is the name in COPY's result, ``name`` is METADATA$FILENAME, ``escaped`` lists the replaced special
    characters in order."""

    path: Path
    item: StoredObject
    shown: str
    name: str
    escaped: str = ""


def fetch(file_location: FileLocation, item: StoredObject, chosen: Format, folder: Path) -> StagedFile:
    """Fetch the file into ``folder`` and decompress it, unless it is Parquet."""
    path = file_location.area.local(item, folder)
    shown = file_location.relative(item)
    if chosen.type != "PARQUET":
        path = _plain(path, item, chosen, shown)
    escaped = ""
    if chosen.type == "CSV" and (chosen["ESCAPE"] or chosen["ESCAPE_UNENCLOSED_FIELD"]) and item.size:
        path, escaped = _unescaped(path, chosen)
    return StagedFile(path, item, shown, file_location.below(item), escaped)


def _plain(path: Path, item: StoredObject, chosen: Format, shown: str) -> Path:
    compression = _compression(path, item, chosen)
    if compression == "NONE":
        return path
    target = path.with_suffix(".plain")
    try:
        with _opened(path, compression) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink, _CHUNK)
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise failure(
            100_159,
            "22000",
            f"Invalid data encountered during decompression for file: '{shown}', compression type used: "
            f"'{compression}'.",
        ) from error
    path.unlink()
    return target


def _compression(path: Path, item: StoredObject, chosen: Format) -> str:
    if chosen["COMPRESSION"] != "AUTO":
        return str(chosen["COMPRESSION"])
    with path.open("rb") as source:
        head = source.read(4)
    found = next((name for magic, name in _MAGIC if head.startswith(magic)), None)
    return found or next((name for end, name in _BY_NAME.items() if item.key.endswith(end)), "NONE")


def _opened(path: Path, compression: str) -> Any:
    if compression == "GZIP":
        return gzip.open(path, "rb")
    if compression == "BZ2":
        return bz2.open(path, "rb")
    if compression == "DEFLATE":
        return _Deflated(path.open("rb"))
    return pa.CompressedInputStream(pa.OSFile(str(path)), compression.lower())


class _Deflated:
    """A zlib stream as a readable file."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._inflater = zlib.decompressobj()

    def read(self, size: int) -> bytes:
        while data := self._source.read(size):
            if found := self._inflater.decompress(data):
                return found
        return self._inflater.flush()

    def __enter__(self) -> _Deflated:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()


def _unescaped(path: Path, chosen: Format) -> tuple[Path, str]:
    outer = (chosen["ESCAPE"] or chosen["ESCAPE_UNENCLOSED_FIELD"] or "").encode()
    with path.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as content:
        # \N is not an escape: NULL_IF handles it.
        if not re.search(re.escape(outer) + rb"(?!N)", content):
            return path, ""
        escapes = _Escapes(chosen)
        target = path.with_suffix(".unescaped")
        with target.open("wb") as sink:
            sink.writelines(escapes.parts(content))
    path.unlink()
    return target, escapes.signs


class _Escapes:
    def __init__(self, chosen: Format) -> None:
        quote = chosen["FIELD_OPTIONALLY_ENCLOSED_BY"]
        self._inner = chosen["ESCAPE"]
        self._outer = self._inner or chosen["ESCAPE_UNENCLOSED_FIELD"]
        self.signs = "".join(dict.fromkeys(f"{chosen['FIELD_DELIMITER'] or ''}\n\r{quote or ''}"))
        escape = rf"{re.escape(self._outer)}(?:[0-7]{{3}}|x[0-9A-Fa-f]{{2}}|.)" if self._outer else r"(?!)"
        pattern = rf"(?P<escape>{escape})"
        if quote:
            ends = "|".join(rf"(?<={re.escape(sign)})" for sign in (chosen["FIELD_DELIMITER"] or "\n", "\n"))
            sign = re.escape(quote)
            inside = rf"[^{sign}{re.escape(self._inner)}]|{re.escape(self._inner)}." if self._inner else rf"[^{sign}]"
            pattern = rf"(?P<enclosed>(?:\A|{ends}){sign}(?:{inside}|{sign}{sign})*{sign})|{pattern}"
        self._pattern = re.compile(pattern.encode(), re.DOTALL)
        self._escape = re.compile(escape.encode(), re.DOTALL)

    def parts(self, content: mmap.mmap) -> Iterator[bytes]:
        """The content with each escape sequence replaced by the character that it denotes."""
        at = 0
        for found in self._pattern.finditer(content):
            yield content[at : found.start()]
            if found.lastgroup == "escape":
                yield self._decoded(found.group())
            elif self._inner:
                yield self._escape.sub(lambda inner: self._decoded(inner.group()), found.group())
            else:
                yield found.group()
            at = found.end()
        yield content[at:]

    def _decoded(self, escape: bytes) -> bytes:
        what = escape[1:]
        if what == b"N":
            return escape
        if len(what) == 3:
            what = chr(int(what[1:], 16) if what[:1] == b"x" else int(what, 8)).encode()
        else:
            what = _WORDS.get(what, what)
        index = self.signs.find(what.decode("latin-1"))
        return what if index < 0 else chr(_PRIVATE + index).encode()


def unescape(value: str, escaped: str) -> str:
    """SQL that replaces the characters of the private area in ``value`` by the escaped ones."""
    if not escaped:
        return value
    private = " || ".join(f"chr({_PRIVATE + index})" for index in range(len(escaped)))
    signs = " || ".join(f"chr({ord(sign)})" for sign in escaped)
    return f"translate({value}, {private}, {signs})"
