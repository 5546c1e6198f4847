"""Input channels of a training job: their objects, and which host gets which.

AWS documents only that each of n hosts gets about 1/n of the objects of ``ShardedByS3Key``. Here they are assigned in turn, in
the order of their keys.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from localcloud.aws.http.protocol import Params, ValidationException, unsupported
from localcloud.aws.s3 import transfer
from localcloud.aws.sagemaker.training.resource_config import Host


def check_channels(channels: list[Params], default_mode: str) -> None:
    """Raise :class:`ValidationException` for channels that AWS rejects or that the local AWS does not support."""
    for channel in channels:
        name = channel["ChannelName"]
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise unsupported("channels that are not on S3")
        if channel.get("InputMode", default_mode) == "Pipe":
            raise unsupported("Pipe mode, which the XGBoost container lacks too; use File or FastFile")
        if source["S3DataType"] == "AugmentedManifestFile":
            raise ValidationException(f"Channel {name}: AugmentedManifestFile can only be used in Pipe input mode.")
        if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
            raise unsupported(f"S3DataType {source['S3DataType']}; use S3Prefix or ManifestFile")
        if channel.get("CompressionType", "None") != "None":
            raise ValidationException(f"Channel {name}: CompressionType is used only in Pipe input mode.")
        if channel.get("RecordWrapperType", "None") != "None":
            raise ValidationException(f"Channel {name}: RecordWrapperType is used only in Pipe input mode.")


def channel_config(channel: dict[str, Any]) -> dict[str, Any]:
    """The channel's entry in ``inputdataconfig.json``."""
    source = channel["DataSource"]["S3DataSource"]
    config = {
        "TrainingInputMode": channel.get("InputMode", "File"),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    return config | ({"ContentType": channel["ContentType"]} if channel.get("ContentType") else {})


def contents(s3: Any, channel: dict[str, Any]) -> list[transfer.StoredObject]:
    """The channel's objects in the order in which hosts get them; raises :class:`transfer.NothingFound` if there are none."""
    found = transfer.find_objects(s3, channel["DataSource"]["S3DataSource"])
    if "ShuffleConfig" in channel:
        random.Random(channel["ShuffleConfig"]["Seed"]).shuffle(found)  # noqa: S311 (a seeded order, no secret)
    return found


def receives(channel: dict[str, Any], host: Host) -> bool:
    """Whether the host gets the channel; a channel may name instance groups."""
    groups = channel["DataSource"]["S3DataSource"].get("InstanceGroupNames")
    return not groups or host.group in groups


def host_objects(
    found: list[transfer.StoredObject], channel: dict[str, Any], hosts: Sequence[Host], host: Host
) -> list[transfer.StoredObject]:
    """The objects for ``host``, one of those that receive the channel."""
    if channel["DataSource"]["S3DataSource"].get("S3DataDistributionType") != "ShardedByS3Key":
        return found
    receivers = [each for each in hosts if receives(channel, each)]
    return found[receivers.index(host) :: len(receivers)]


def fill(s3: Any, found: list[transfer.StoredObject], folder: Path) -> None:
    """Download a host's objects; the folder exists even without any."""
    folder.mkdir(parents=True, exist_ok=True)
    transfer.download(s3, found, folder)
