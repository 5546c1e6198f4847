"""The files of stages: in a bucket on S3 through boto3, or in a folder of the server.

An error of S3 becomes Snowflake's, with the S3 code in the text. A file in a folder has the MD5 of its content as its tag, as
an object on S3 has; it is computed once a version.
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
    """``uri``: ``s3://bucket/key``, or for a folder ``stages/id/key``; ``etag``: without quotes; ``size`` in bytes."""

    uri: str
    key: str
    size: int
    etag: str
    modified: datetime


class Area(Protocol):
    """One place that holds the files of a stage."""

    def objects(self, prefix: str) -> list[StoredObject]:
        """Every file whose key begins with ``prefix``, by key."""

    def upload(self, key: str, path: Path) -> None: ...

    def local(self, item: StoredObject, folder: Path) -> Path:
        """A path under which the file can be read; ``folder`` is where a copy may be put."""

    def delete(self, keys: list[str]) -> None: ...

    def uri(self, key: str) -> str: ...


class Storage(State):
    """One S3 endpoint; boto3's client is safe to share between threads."""

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
    """A bucket as an area."""

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
    """A folder as an area; ``id`` is the same as long as the stage is."""

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
        """A link of its own: DuckDB would take signs in the file's name for wildcards."""
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
