"""S3 buckets with the newest version of each object, for an account that is saved and restored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from moto.s3.models import S3Backend, s3_backends

from localcloud.aws.account import ACCOUNT_ID


def describe(client: Any, folder: Path) -> Iterator[dict[str, Any]]:
    """The buckets that exist; objects are written below ``folder``."""
    number, backend = 0, _backend()
    (folder / "objects").mkdir()
    for name, bucket in backend.buckets.items():
        objects = []
        for key in bucket.keys.values():
            if getattr(key, "value", None) is None:
                continue  # a delete marker
            number += 1
            (folder / "objects" / str(number)).write_bytes(key.value)
            objects.append(
                {
                    "key": key.name,
                    "file": str(number),
                    "etag": key.etag.strip('"'),
                    "modified": key.last_modified.isoformat(),
                    "metadata": dict(key.metadata),
                    "storage": key.storage_class,
                }
            )
        yield {
            "name": name,
            "versioning": client.get_bucket_versioning(Bucket=name).get("Status", ""),
            "policy": bucket.policy.decode() if bucket.policy else "",
            "objects": objects,
        }


def create(client: Any, saved: dict[str, Any], folder: Path) -> None:
    """Create a bucket again, unless its stack has done so, and put its objects."""
    backend, name = _backend(), saved["name"]
    if name not in backend.buckets:
        client.create_bucket(Bucket=name)
        if saved["versioning"]:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": saved["versioning"]})
        if saved["policy"]:
            client.put_bucket_policy(Bucket=name, Policy=saved["policy"])
    for item in saved["objects"]:
        # Not over HTTP: ETags and times stay as they were, and Snowflake recognises loaded files by their ETags.
        key = backend.put_object(
            name,
            item["key"],
            (folder / "objects" / item["file"]).read_bytes(),
            storage=item["storage"],
            etag=item["etag"],
            disable_notification=True,
        )
        key.set_metadata(item["metadata"], replace=True)
        key.last_modified = datetime.fromisoformat(item["modified"])


def _backend() -> S3Backend:
    return s3_backends[ACCOUNT_ID]["aws"]
