"""Storage of staged files: an S3 bucket through boto3, or a local folder.

S3 errors become Snowflake errors with the S3 code in the text. Like an S3 object, a file in a folder has the MD5 of its
content as its ETag, which is computed once for each version of the file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from localcloud.snowflake.failures import failure
from localcloud.snowflake.sessions.state import State


@dataclass(frozen=True)
class StoredObject:
    """``uri`` is ``s3://bucket/key``, or ``stages/id/key`` in a folder; ``etag`` has no quotes; ``size`` is in bytes."""

    uri: str
    key: str
    size: int
    etag: str
    modified: datetime


class Area(Protocol):
    """A container of staged files."""

    def objects(self, prefix: str) -> list[StoredObject]:
        """All files whose key starts with ``prefix``, ordered by key."""

    def upload(self, key: str, path: Path) -> None: ...

    def local(self, item: StoredObject, folder: Path) -> Path:
        """A local path from which the file can be read. A copy may be created in ``folder``."""

    def delete(self, keys: list[str]) -> None: ...

    def uri(self, key: str) -> str: ...


class Storage(State):
    """Client of one S3 endpoint. boto3 clients are thread-safe."""

    def __init__(self, endpoint_url: str) -> None:
        self._s3: Any = boto3.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - the local S3 takes any
            config=Config(retries={"max_attempts": 3}, s3={"addressing_style": "path"}),
        )

    def close(self) -> None:
        self._s3.close()

    def bucket(self, name: str) -> Bucket:
        return Bucket(self._s3, name)


class Bucket:
    """An S3 bucket with staged files."""

    def __init__(self, s3: Any, name: str) -> None:
        self._s3 = s3
        self._name = name

    def uri(self, key: str) -> str:
        return f"s3://{self._name}/{key}"

    def objects(self, prefix: str) -> list[StoredObject]:
        with _refusals():
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
            return [_stored(self._name, item) for page in pages for item in page.get("Contents", [])]

    def upload(self, key: str, path: Path) -> None:
        with _refusals(), path.open("rb") as body:
            self._s3.put_object(Bucket=self._name, Key=key, Body=body)

    def local(self, item: StoredObject, folder: Path) -> Path:
        path = folder / uuid.uuid4().hex
        with _refusals():
            self._s3.download_file(self._name, item.key, str(path))
        return path

    def delete(self, keys: list[str]) -> None:
        with _refusals():
            for key in keys:
                self._s3.delete_object(Bucket=self._name, Key=key)


class Folder:
    """A local folder with staged files. Its name stays the same for the lifetime of the stage."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tags: dict[tuple[str, int, int], str] = {}

    def uri(self, key: str) -> str:
        return f"stages/{self.path.name}/{key}"

    def objects(self, prefix: str) -> list[StoredObject]:
        start = self.path / prefix.rpartition("/")[0]
        found = sorted(path for path in start.rglob("*") if path.is_file())
        return [self._stored(path) for path in found if self._key(path).startswith(prefix)]

    def _key(self, path: Path) -> str:
        return str(path.relative_to(self.path))

    def _stored(self, path: Path) -> StoredObject:
        key, seen = self._key(path), path.stat()
        modified = datetime.fromtimestamp(int(seen.st_mtime), UTC)
        return StoredObject(self.uri(key), key, seen.st_size, self._tag(path, seen), modified)

    def _tag(self, path: Path, seen: os.stat_result) -> str:
        version = (str(path), seen.st_size, seen.st_mtime_ns)
        if version not in self._tags:
            with path.open("rb") as body:
                self._tags[version] = hashlib.file_digest(body, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        return self._tags[version]

    def upload(self, key: str, path: Path) -> None:
        target = self.path / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)

    def local(self, item: StoredObject, folder: Path) -> Path:
        """Link the file under a new name, because DuckDB would interpret special characters in its name as wildcards."""
        path = folder / uuid.uuid4().hex
        os.link(self.path / item.key, path)
        return path

    def delete(self, keys: list[str]) -> None:
        for key in keys:
            (self.path / key).unlink(missing_ok=True)


def _stored(bucket: str, item: dict[str, Any]) -> StoredObject:
    return StoredObject(
        f"s3://{bucket}/{item['Key']}", item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"]
    )


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        detail = error.response.get("Error", {})
        raise failure(
            91_003,
            "22000",
            f"Failure using stage area. Cause: [{detail.get('Message')} "
            f"(Status Code: {_status(error)}; Error Code: {detail.get('Code')})]",
        ) from error
    except BotoCoreError as error:
        raise failure(91_003, "22000", f"Failure using stage area. Cause: [{error}]") from error


def _status(error: ClientError) -> Any:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
