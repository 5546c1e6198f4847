"""Data capture: a sample of an endpoint's requests and answers, as JSON lines on S3.

In: calls that an endpoint answered. Out: ``<destination>/<endpoint>/<variant>/yyyy/mm/dd/hh/mm-ss-mmm-<uuid>.jsonl`` in the format
that AWS documents. The surprise: nothing of it happens in the call; a full queue loses records rather than time, and says so.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import logging
import queue
import random
import threading
import uuid
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from localcloud.aws.account import Cloud
from localcloud.aws.http.protocol import Params
from localcloud.aws.s3.transfer import split_uri

_log = logging.getLogger(__name__)

_QUEUE_RECORDS = 10_000
_SIDES = {
    "Input": ("endpointInput",),
    "Output": ("endpointOutput",),
    "InputAndOutput": ("endpointInput", "endpointOutput"),
}


@dataclass(frozen=True)
class Exchange:
    """One answered call. ``content_types``: of the request and of the answer."""

    variant: str
    request: bytes
    answer: bytes
    content_types: tuple[str, str]
    inference_id: str | None
    moment: dt.datetime


class Capture:
    """What an endpoint's DataCaptureConfig asks for; ``offer`` is called for every answered call."""

    def __init__(self, cloud: Cloud, endpoint: str, config: Params) -> None:
        self._cloud = cloud
        self._endpoint = endpoint
        self._config = config
        self._share = config["InitialSamplingPercentage"] / 100
        self._sides = {side for option in config["CaptureOptions"] for side in _SIDES[option["CaptureMode"]]}
        self._waiting: queue.Queue[Exchange] = queue.Queue(_QUEUE_RECORDS)
        self._ended = threading.Event()
        self.lost = 0
        self._writer = threading.Thread(target=self._write, name="data-capture", daemon=True)
        self._writer.start()

    def offer(self, exchange: Exchange) -> None:
        """Keep the call if it is drawn; never waits."""
        if random.random() >= self._share:  # noqa: S311 (a sample, not a secret)
            return
        try:
            self._waiting.put_nowait(exchange)
        except queue.Full:
            self.lost += 1
            _log.warning("data capture of %s has lost %d records", self._endpoint, self.lost)

    def describe(self) -> Params:
        """DescribeEndpoint's DataCaptureConfig."""
        return {
            "EnableCapture": True,
            "CaptureStatus": "Started",
            "CurrentSamplingPercentage": self._config["InitialSamplingPercentage"],
            "DestinationS3Uri": self._config["DestinationS3Uri"],
            "KmsKeyId": self._config.get("KmsKeyId", ""),
        }

    def close(self) -> None:
        """Write what waits, and end."""
        self._ended.set()
        self._writer.join()

    def _write(self) -> None:
        while not self._ended.wait(self._cloud.limits.capture_s):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines: dict[str, list[str]] = defaultdict(list)
        while True:
            try:
                exchange = self._waiting.get_nowait()
            except queue.Empty:
                break
            lines[exchange.variant].append(self._line(exchange))
        for variant, found in lines.items():
            bucket, key = split_uri(f"{self._config['DestinationS3Uri'].rstrip('/')}/{self._place(variant)}")
            try:
                self._cloud.s3.put_object(Bucket=bucket, Key=key, Body="".join(found).encode())
            except Exception:
                self.lost += len(found)
                _log.exception("data capture of %s could not be written", self._endpoint)

    def _place(self, variant: str) -> str:
        moment = dt.datetime.now(dt.UTC)
        name = f"{moment:%M-%S}-{moment.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        return f"{self._endpoint}/{variant}/{moment:%Y/%m/%d/%H}/{name}"

    def _line(self, exchange: Exchange) -> str:
        parts = (
            ("endpointInput", "INPUT", exchange.request, exchange.content_types[0]),
            ("endpointOutput", "OUTPUT", exchange.answer, exchange.content_types[1]),
        )
        captured = {side: self._part(mode, data, kind) for side, mode, data, kind in parts if side in self._sides}
        about: dict[str, Any] = {"eventId": str(uuid.uuid4())}
        if exchange.inference_id:
            about["inferenceId"] = exchange.inference_id
        about["inferenceTime"] = f"{exchange.moment:%Y-%m-%dT%H:%M:%SZ}"
        return json.dumps({"captureData": captured, "eventMetadata": about, "eventVersion": "0"}) + "\n"

    def _part(self, mode: str, data: bytes, content_type: str) -> Params:
        encoding = self._encoding(content_type)
        text = base64.b64encode(data).decode() if encoding == "BASE64" else data.decode("utf-8", "replace")
        return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}

    def _encoding(self, content_type: str) -> str:
        """By CaptureContentTypeHeader; a type that it does not name is kept as base64."""
        named = self._config.get("CaptureContentTypeHeader", {})
        plain = content_type.partition(";")[0].strip()
        if plain in named.get("CsvContentTypes", []):
            return "CSV"
        return "JSON" if plain in named.get("JsonContentTypes", []) else "BASE64"
