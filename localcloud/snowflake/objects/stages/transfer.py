"""PUT and GET: the server returns file locations, the client transfers the files.

Client and server run on the same machine, and the connector's S3 clients require TLS, so files are transferred to and
from the stage's folder directly (``LOCAL_FS``).
"""

from __future__ import annotations

from typing import Any

from localcloud.snowflake.failures import compilation, unsupported
from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.locations import FileLocation, resolve_location
from localcloud.snowflake.objects.stages.storage import Folder
from localcloud.snowflake.result import Result, rows_result
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import StagePath

PUT_COLUMNS = [
    *[("source", "text"), ("target", "text"), ("source_size", "fixed"), ("target_size", "fixed")],
    *[("source_compression", "text"), ("target_compression", "text"), ("status", "text"), ("message", "text")],
]
GET_COLUMNS = [("file", "text"), ("size", "fixed"), ("status", "text"), ("message", "text")]


def put(session: Session, statement: ast.Put) -> Result:
    file_location, folder = _internal(session, statement.location, "PUT")
    if statement.source_compression == "RAW_DEFLATE":
        raise unsupported("SOURCE_COMPRESSION = RAW_DEFLATE")
    compression = {"BZ2": "BZIP2", "BROTLI": "BR", "DEFLATE": "DEFLATE"}.get(
        statement.source_compression, statement.source_compression
    )
    return _answer(
        folder.path / file_location.prefix,
        command="UPLOAD",
        src_locations=[statement.source],
        parallel=statement.parallel,
        autoCompress=statement.auto_compress,
        sourceCompression=compression.lower(),
        overwrite=statement.overwrite,
    )


def get(session: Session, statement: ast.Get) -> Result:
    file_location, folder = _internal(session, statement.location, "GET")
    found = file_location.files(statement.pattern)
    # The connector strips the part before the first slash from file names.
    return _answer(
        folder.path.parent,
        command="DOWNLOAD",
        src_locations=[f"{folder.path.name}/{item.key}" for item in found],
        parallel=statement.parallel,
        localLocation=statement.target,
    )


def _internal(session: Session, location: StagePath, word: str) -> tuple[FileLocation, Folder]:
    file_location = resolve_location(session, location)
    if not isinstance(file_location.area, Folder):
        raise compilation(
            1006, "22000", f"{word} does not support external stages; use the tools of the storage provider."
        )
    return file_location, file_location.area


def _answer(folder: object, **fields: Any) -> Result:
    """The reply that the connector's file transfer agent expects, with ``stageInfo``."""
    data = {
        **fields,
        "stageInfo": {"locationType": "LOCAL_FS", "location": str(folder), "creds": {}},
        "encryptionMaterial": None,
        "clientShowEncryptionParameter": False,
        "queryResultFormat": "json",
        "rowtype": [],
        "rowset": [],
    }
    empty = rows_result([], [], 0)
    return Result(empty.table, empty.types, 0, reply=data)
