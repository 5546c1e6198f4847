"""The S3 behind the stages, through boto3.

In: a stage's location. Out: its objects. What S3 refuses becomes Snowflake's own failure, with the S3 code in the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from app.local.snowflake.failures import failure


@dataclass(frozen=True)
class StoredObject:
    """``uri``: ``s3://bucket/key``; ``etag``: without its quotes."""

    uri: str
    key: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class Location:
    """A place under a stage: everything whose key begins with ``prefix``."""

    bucket: str
    prefix: str

    @classmethod
    def under(cls, url: str, path: str) -> Location:
        parts = urlsplit(url)
        root = parts.path.lstrip("/")
        if path and root and not root.endswith("/"):
            root += "/"
        return cls(parts.netloc, root + path)


class Storage:
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

    def objects(self, location: Location) -> list[StoredObject]:
        """Every object under the location, by key."""
        with _refusals():
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=location.prefix)
            return [_stored(location.bucket, item) for page in pages for item in page.get("Contents", [])]

    def upload(self, location: Location, path: Path) -> None:
        with _refusals(), path.open("rb") as body:
            self._s3.put_object(Bucket=location.bucket, Key=location.prefix, Body=body)

    def download(self, bucket: str, key: str, path: Path) -> None:
        with _refusals():
            self._s3.download_file(bucket, key, str(path))

    def delete(self, bucket: str, keys: list[str]) -> None:
        with _refusals():
            for key in keys:
                self._s3.delete_object(Bucket=bucket, Key=key)


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
