"""Data capture: a sample of an endpoint's requests and responses, as JSON lines on S3 in the format that AWS documents.

Files are ``<destination>/<endpoint>/<variant>/yyyy/mm/dd/hh/mm-ss-mmm-<uuid>.jsonl``. A thread writes them, so that capture does
not delay invocations; when its queue is full, records are dropped and logged as lost.
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

from localcloud.aws.account import Account
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
    """One invocation with its response. ``content_types``: of the request and of the response."""

    variant: str
    request: bytes
    answer: bytes
    content_types: tuple[str, str]
    inference_id: str | None
    moment: dt.datetime


class DataCapture:
    """The data capture of one endpoint. ``offer`` is called for every invocation that was answered."""

    def __init__(self, account: Account, endpoint: str, config: Params) -> None:
        self._account = account
        self._endpoint = endpoint
        self._config = config
        self._sampling_rate = config["InitialSamplingPercentage"] / 100
        self._sides = {side for option in config["CaptureOptions"] for side in _SIDES[option["CaptureMode"]]}
        self._queue: queue.Queue[Exchange] = queue.Queue(_QUEUE_RECORDS)
        self._closed = threading.Event()
        self.lost = 0
        self._writer = threading.Thread(target=self._write, name="data-capture", daemon=True)
        self._writer.start()

    def offer(self, exchange: Exchange) -> None:
        """Capture the exchange if it is sampled; never blocks."""
        if random.random() >= self._sampling_rate:  # noqa: S311 (a sample, not a secret)
            return
        try:
            self._queue.put_nowait(exchange)
        except queue.Full:
            self.lost += 1
            _log.warning("data capture of %s dropped %d records so far", self._endpoint, self.lost)

    def describe(self) -> Params:
        """The DataCaptureConfig of DescribeEndpoint."""
        return {
            "EnableCapture": True,
            "CaptureStatus": "Started",
            "CurrentSamplingPercentage": self._config["InitialSamplingPercentage"],
            "DestinationS3Uri": self._config["DestinationS3Uri"],
            "KmsKeyId": self._config.get("KmsKeyId", ""),
        }

    def close(self) -> None:
        """Write the remaining records, then end."""
        self._closed.set()
        self._writer.join()

    def _write(self) -> None:
        while not self._closed.wait(self._account.limits.capture_s):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines: dict[str, list[str]] = defaultdict(list)
        while True:
            try:
                exchange = self._queue.get_nowait()
            except queue.Empty:
                break
            lines[exchange.variant].append(self._line(exchange))
        for variant, found in lines.items():
            bucket, key = split_uri(f"{self._config['DestinationS3Uri'].rstrip('/')}/{self._key(variant)}")
            try:
                self._account.s3.put_object(Bucket=bucket, Key=key, Body="".join(found).encode())
            except Exception:
                self.lost += len(found)
                _log.exception("data capture of %s could not be written", self._endpoint)

    def _key(self, variant: str) -> str:
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
        """The encoding by CaptureContentTypeHeader; other types are stored as base64."""
        named = self._config.get("CaptureContentTypeHeader", {})
        plain = content_type.partition(";")[0].strip()
        if plain in named.get("CsvContentTypes", []):
            return "CSV"
        return "JSON" if plain in named.get("JsonContentTypes", []) else "BASE64"
