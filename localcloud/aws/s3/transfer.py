"""Transfers between S3 and a directory: objects under a prefix or in a manifest, archives downloaded and uploaded.

An ``S3Prefix`` is a prefix of the key's text, not a folder: ``s3://b/train`` includes ``train2/x``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from localcloud import archives


class NothingFound(Exception):
    """No object under the prefix, no bucket, or no valid manifest; the message says which."""


@dataclass(frozen=True)
class StoredObject:
    """An object, with its path below the directory that receives it."""

    bucket: str
    key: str
    path: str


def split_uri(uri: str) -> tuple[str, str]:
    """``s3://bucket/key`` as (bucket, key)."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def relative_path(key: str, prefix: str) -> str:
    """An object's path below the directory that receives it: the key without the folder that the prefix names."""
    rest = key[len(prefix) :]
    if rest.startswith("/") or prefix.endswith("/") or not prefix:
        return rest.lstrip("/")
    return key[prefix.rfind("/") + 1 :]


def find_objects(s3: Any, source: dict[str, Any]) -> list[StoredObject]:
    """The objects of an ``S3DataSource``, by prefix or by manifest; raises :class:`NothingFound` if there are none."""
    find = in_manifest if source["S3DataType"] == "ManifestFile" else under_prefix
    return find(s3, source["S3Uri"])


def under_prefix(s3: Any, uri: str) -> list[StoredObject]:
    """All objects under ``uri``, ordered by key; raises :class:`NothingFound` if there are none."""
    bucket, prefix = split_uri(uri)
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    except ClientError as error:
        raise NothingFound(error.response["Error"]["Message"]) from error
    found = [StoredObject(bucket, key, relative_path(key, prefix)) for key in keys if not key.endswith("/")]
    if not found:
        raise NothingFound("no object has this prefix")
    return found


def in_manifest(s3: Any, uri: str) -> list[StoredObject]:
    """The objects that a manifest names, in its order. Its form is ``[{"prefix": "s3://b/p/"}, "suffix", ...]``."""
    bucket, key = split_uri(uri)
    try:
        content = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        prefix, suffixes = str(content[0]["prefix"]), [str(suffix) for suffix in content[1:]]
    except ClientError as error:
        raise NothingFound(error.response["Error"]["Message"]) from error
    except (ValueError, LookupError, TypeError) as error:
        raise NothingFound('a manifest is a JSON list of {"prefix": ...} and suffixes') from error
    target, start = split_uri(prefix)
    if not suffixes:
        raise NothingFound("the manifest names no object")
    return [StoredObject(target, start + suffix, suffix.lstrip("/")) for suffix in suffixes]


def download(s3: Any, found: Iterable[StoredObject], folder: Path) -> None:
    """Download each object to its path below ``folder``; raises :class:`NothingFound` for an object that does not exist."""
    for item in found:
        try:
            _download(s3, item.bucket, item.key, _inside(folder, item.path))
        except ClientError as error:
            raise NothingFound(f"{item.key}: {error.response['Error']['Message']}") from error


def download_archive(s3: Any, uri: str, folder: Path) -> None:
    """Unpack a ``.tar.gz`` on S3 into ``folder``. Raises :class:`NothingFound`, or :class:`ArchiveError` for a bad archive."""
    bucket, key = split_uri(uri)
    folder.mkdir(parents=True, exist_ok=True)
    packed = folder.parent / f".{folder.name}.tar.gz"
    try:
        _download(s3, bucket, key, packed)
        archives.unpack(packed, folder)
    except ClientError as error:
        raise NothingFound(error.response["Error"]["Message"]) from error
    finally:
        packed.unlink(missing_ok=True)


def upload_archive(s3: Any, folders: Sequence[Path], uri: str) -> None:
    """Upload the content of ``folders`` as one ``.tar.gz``, with paths relative to the folders; the first wins a shared name."""
    bucket, key = split_uri(uri)
    packed = folders[0].parent / f".{folders[0].name}.tar.gz"
    archives.pack(folders, packed)
    s3.upload_file(str(packed), bucket, key)
    packed.unlink()


def _download(s3: Any, bucket: str, key: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    s3.download_file(bucket, key, str(path))


def _inside(folder: Path, relative: str) -> Path:
    if ".." in PurePosixPath(relative).parts:
        raise NothingFound(f"the key part {relative!r} leaves the channel's directory")
    return folder / relative
