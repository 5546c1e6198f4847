"""Parquet files below the pipeline's folder on S3: which hold the entity, and the same files without it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.erasure.key import EntityKey
from app.export.manifest import Export
from app.ports import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class FoundFiles:
    """``rows``: by file, the entity's rows. ``unmatched``: files that could hold it, and cannot be searched by the key."""

    rows: dict[str, int]
    unmatched: tuple[str, ...]


def search_files(
    store: ObjectStore,
    folder_uri: str,
    key: EntityKey,
    *,
    captured_by: str | None,
    remove: bool,
    tell: Callable[[str], None] = lambda _: None,
) -> FoundFiles:
    """The files that hold the entity; with ``remove``, they are written again without it, and so are their manifests.

    ``captured_by``: the one column of the key that captured requests carry as text; None if they carry none.
    """
    rows: dict[str, int] = {}
    left: dict[str, int] = {}
    unmatched, manifests = [], []
    for item in store.list_below(folder_uri):
        if item.uri.endswith(f"/{_MANIFEST}"):
            manifests.append(item.uri)
        elif item.uri.endswith(".parquet"):
            tell(f"searching {item.uri}")
            counted = _search(store, item.uri, key, captured_by, remove=remove)
            if counted is None:
                unmatched.append(item.uri)
                continue
            found, left[item.uri] = counted
            if found:
                rows[item.uri] = found
        elif "/serve/deferred/" in item.uri:
            unmatched.append(item.uri)
    if remove:
        for uri in manifests:
            _correct_manifest(store, uri, left)
    return FoundFiles(rows, tuple(unmatched))


def _correct_manifest(store: ObjectStore, uri: str, left: Mapping[str, int]) -> None:
    """Write the row counts ``left`` in the files into their manifest, unless it has them.

    The files come first, so a removal that was killed between the two is completed by the next one.
    """
    folder, export = uri.removesuffix(_MANIFEST), Export.from_json(store.read(uri))
    sizes = {item.uri: item.size_bytes for item in store.list_below(folder)}
    files = tuple(
        replace(file, rows=left[name], size_bytes=sizes[name]) if (name := f"{folder}{file.name}") in left else file
        for file in export.files
    )
    corrected = replace(export, files=files, rows=sum(file.rows for file in files))
    if corrected != export:
        store.write(uri, corrected.to_json())


def _search(
    store: ObjectStore, uri: str, key: EntityKey, captured_by: str | None, *, remove: bool
) -> tuple[int, int] | None:
    """The entity's rows in a file, and the other rows; None if it does not have the key's columns."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="snowsage-erase-") as scratch:
        source, target = Path(scratch) / "rows.parquet", Path(scratch) / "kept.parquet"
        store.download(uri, source)
        file = pq.ParquetFile(source)
        wanted = _wanted(uri, file.schema_arrow.names, key, captured_by)
        if not wanted:
            return None
        found = sum(int(_matches(batch, wanted).sum().as_py() or 0) for batch in file.iter_batches(columns=[*wanted]))
        if found and remove:
            _write_others(file, target, wanted)
            store.write(uri, target.read_bytes())
        return found, file.metadata.num_rows - found


def _wanted(uri: str, names: list[str], key: EntityKey, captured_by: str | None) -> dict[str, int | str]:
    """The file's columns that must have these values; empty if it lacks one of them."""
    if "/serve/capture/" in uri:
        # Captured rows have the one column of the key that callers send, as text.
        return {"key": str(key.values[captured_by])} if captured_by and key.columns == (captured_by,) else {}
    held = {name.upper(): name for name in names}
    if not {name.upper() for name in key.columns} <= held.keys():
        return {}
    return {held[name.upper()]: value for name, value in key.values.items()}


def _write_others(file: Any, target: Path, wanted: dict[str, int | str]) -> None:
    """The file without the rows of the entity."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetWriter(target, file.schema_arrow, compression="snappy") as writer:
        for batch in file.iter_batches():
            writer.write_batch(batch.filter(pc.invert(_matches(batch, wanted))))


def _matches(batch: pa.RecordBatch, wanted: dict[str, int | str]) -> pa.BooleanArray:
    """For each row, whether it is the entity's."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pa.array([True] * batch.num_rows, pa.bool_())
    for name, value in wanted.items():
        column = batch.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        try:
            same = pc.equal(
                column, pa.scalar(str(value)).cast(column.type) if text else pa.scalar(value).cast(column.type)
            )
        except (
            pa.ArrowInvalid,
            pa.ArrowNotImplementedError,
        ):  # the column's type cannot hold the value, so no row does
            same = pa.array([False] * batch.num_rows, pa.bool_())
        found = pc.and_(found, pc.fill_null(same, False))
    return found
