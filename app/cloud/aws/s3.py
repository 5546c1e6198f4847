"""S3: implements ``ports.ObjectStore``."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from app.cloud.aws.session import AwsSession, translated
from app.errors import CallerError, TransientError
from app.ports import StoredObject, Versioned

#: Keys of one DeleteObjects call, S3's limit.
_DELETE_AT_A_TIME = 1000

#: What S3 says if the condition of a request does not hold: another version, another request at the same time, no object.
_OTHER_VERSION = {
    "PreconditionFailed",
    "ConditionalRequestConflict",
    "OperationAborted",
    "NoSuchKey",
    "412",
    "409",
    "404",
}


class S3Store:
    """Objects by ``s3://bucket/key``."""

    def __init__(self, session: AwsSession) -> None:
        self._client = session.client("s3")

    def read(self, uri: str) -> bytes:
        bucket, key = _split(uri)
        with translated(f"reading {uri}"):
            body: bytes = self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
            return body

    def write(self, uri: str, body: bytes) -> None:
        bucket, key = _split(uri)
        with translated(f"writing {uri}"):
            self._client.put_object(Bucket=bucket, Key=key, Body=body)

    def create(self, uri: str, body: bytes, tags: Mapping[str, str]) -> bool:
        bucket, key = _split(uri)
        with translated(f"creating {uri}"):
            try:
                self._client.put_object(Bucket=bucket, Key=key, Body=body, Tagging=urlencode(tags), IfNoneMatch="*")
            except ClientError as error:
                # The second code: another request is creating the object now. It may yet fail, so the caller asks again.
                if error.response["Error"].get("Code") == "PreconditionFailed":
                    return False
                if error.response["Error"].get("Code") == "ConditionalRequestConflict":
                    raise TransientError(f"creating {uri}: another request creates it at the same time") from error
                raise
        return True

    def read_versioned(self, uri: str) -> Versioned:
        bucket, key = _split(uri)
        with translated(f"reading {uri}"):
            answer = self._client.get_object(Bucket=bucket, Key=key)
            read_at = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
            age_s = (read_at - answer["LastModified"]).total_seconds()
            return Versioned(answer["Body"].read(), answer["ETag"], max(age_s, 0.0))

    def replace(self, uri: str, body: bytes, etag: str | None) -> str | None:
        bucket, key = _split(uri)
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        with translated(f"writing {uri}"):
            try:
                written: str = self._client.put_object(Bucket=bucket, Key=key, Body=body, **condition)["ETag"]
            except ClientError as error:
                if error.response["Error"].get("Code") in _OTHER_VERSION:
                    return None
                raise
        return written

    def delete(self, uri: str, etag: str) -> bool:
        bucket, key = _split(uri)
        with translated(f"deleting {uri}"):
            try:
                self._client.delete_object(Bucket=bucket, Key=key, IfMatch=etag)
            except ClientError as error:
                if error.response["Error"].get("Code") in _OTHER_VERSION:
                    return False
                raise
        return True

    def download(self, uri: str, path: Path) -> None:
        bucket, key = _split(uri)
        with translated(f"downloading {uri}"):
            self._client.download_file(bucket, key, str(path))

    def list_below(self, prefix_uri: str) -> list[StoredObject]:
        bucket, prefix = _split(prefix_uri)
        with translated(f"listing {prefix_uri}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return [
                StoredObject(f"s3://{bucket}/{item['Key']}", item["Size"])
                for page in pages
                for item in page.get("Contents", [])
            ]

    def folders(self, prefix_uri: str) -> list[str]:
        bucket, prefix = _split(prefix_uri)
        with translated(f"listing {prefix_uri}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
            found = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]
        return [name.removeprefix(prefix).rstrip("/") for name in found]

    def delete_below(self, prefix_uri: str) -> None:
        bucket, prefix = _split(prefix_uri)
        if not prefix.endswith("/"):
            raise CallerError(
                f"{prefix_uri} must end with a slash: deleting by an incomplete name would delete other objects, too"
            )
        keys = [item.uri.removeprefix(f"s3://{bucket}/") for item in self.list_below(prefix_uri)]
        with translated(f"deleting below {prefix_uri}"):
            for start in range(0, len(keys), _DELETE_AT_A_TIME):
                part = [{"Key": key} for key in keys[start : start + _DELETE_AT_A_TIME]]
                self._client.delete_objects(Bucket=bucket, Delete={"Objects": part, "Quiet": True})


def _split(uri: str) -> tuple[str, str]:
    if not uri.startswith("s3://") or "/" not in uri[5:]:
        raise CallerError(f"{uri!r} is not an address on S3; write s3://bucket/key")
    bucket, _, key = uri[5:].partition("/")
    return bucket, key
