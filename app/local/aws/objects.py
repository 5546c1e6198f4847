"""Files between S3 and a directory: a channel by prefix, an archive unpacked, a folder packed and put.

What SageMaker does around a container. The surprise: ``S3Prefix`` is a prefix of the key's *text*, not a folder, so
``s3://b/train`` also takes ``train2/x``.
"""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError


class NothingFound(Exception):
    """No object under the prefix, or no bucket; the text says which."""


def split_uri(uri: str) -> tuple[str, str]:
    """``s3://bucket/key`` as (bucket, key)."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def relative_path(key: str, prefix: str) -> str:
    """Where an object lies below its channel's directory: the key less the folder that the prefix names."""
    rest = key[len(prefix) :]
    if rest.startswith("/") or prefix.endswith("/") or not prefix:
        return rest.lstrip("/")
    return key[prefix.rfind("/") + 1 :]


def download_prefix(s3: Any, uri: str, folder: Path) -> int:
    """All objects under ``uri`` into ``folder``; the number of them. :class:`NothingFound` if there is none."""
    bucket, prefix = split_uri(uri)
    count = 0
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                if not found["Key"].endswith("/"):
                    _download(s3, bucket, found["Key"], _inside(folder, relative_path(found["Key"], prefix)))
                    count += 1
    except ClientError as error:
        raise NothingFound(error.response["Error"]["Message"]) from error
    if count == 0:
        raise NothingFound("no object has this prefix")
    return count


def download_archive(s3: Any, uri: str, folder: Path) -> None:
    """A ``.tar.gz`` on S3, unpacked into ``folder``; members that would leave it are refused by tarfile."""
    bucket, key = split_uri(uri)
    folder.mkdir(parents=True, exist_ok=True)
    packed = folder.parent / f".{folder.name}.tar.gz"
    try:
        _download(s3, bucket, key, packed)
        with tarfile.open(packed, "r:gz") as archive:
            archive.extractall(folder, filter="data")
    except ClientError as error:
        raise NothingFound(error.response["Error"]["Message"]) from error
    finally:
        packed.unlink(missing_ok=True)


def upload_archive(s3: Any, folder: Path, uri: str) -> None:
    """Everything in ``folder`` as one ``.tar.gz`` at ``uri``, paths relative to the folder."""
    bucket, key = split_uri(uri)
    packed = folder.parent / f".{folder.name}.tar.gz"
    with tarfile.open(packed, "w:gz", compresslevel=6) as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=path.name)
    s3.upload_file(str(packed), bucket, key)
    packed.unlink()


def upload_folder(s3: Any, folder: Path, uri: str) -> None:
    """Every file below ``folder`` under the prefix ``uri``."""
    bucket, prefix = split_uri(uri)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            s3.upload_file(str(path), bucket, f"{prefix.rstrip('/')}/{path.relative_to(folder).as_posix()}")


def _download(s3: Any, bucket: str, key: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    s3.download_file(bucket, key, str(path))


def _inside(folder: Path, relative: str) -> Path:
    if ".." in PurePosixPath(relative).parts:
        raise NothingFound(f"the key part {relative!r} would leave the channel's directory")
    return folder / relative
