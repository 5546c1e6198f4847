"""Content types and encodings: the supported ones are accepted, and the error for others lists the supported ones."""

from __future__ import annotations

import pytest

from app.serve.codecs import media_types


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "APPLICATION/JSON ; profile=x",
        "application/problem+json",
        "application/vnd.sagemaker-triton.binary+json;json-header-size=7",
        "text/json",
    ],
)
@pytest.mark.parametrize("binary", [True, False])
def test_json_content_types_are_accepted(kind: str, binary: bool) -> None:
    media_types.check({"content-type": kind}, binary=binary)
    media_types.check({}, binary=binary)


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "text/plain",
        "text/csv",
        "application/jsonp",
        "application/json, text/plain",
        "banana",
        "application/json; charset=iso-8859-1",
        "application/json; charset=utf-16",
    ],
)
@pytest.mark.parametrize("binary", [True, False])
def test_other_content_types_are_rejected_with_the_accepted_ones(kind: str, binary: bool) -> None:
    for _ in range(2):
        with pytest.raises(media_types.UnsupportedMediaType) as caught:
            media_types.check({"content-type": kind}, binary=binary)
        assert caught.value.accepted == "application/json" + ", application/octet-stream" * binary
        assert kind not in str(caught.value)


def test_octet_streams_are_accepted_only_by_binary_protocols() -> None:
    media_types.check({"content-type": "application/octet-stream"}, binary=True)
    with pytest.raises(media_types.UnsupportedMediaType):
        media_types.check({"content-type": "application/octet-stream"}, binary=False)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", " x-gzip", "deflate", "identity", ""])
def test_supported_encodings_are_accepted(encoding: str) -> None:
    media_types.check({"content-encoding": encoding}, binary=False)


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, br", "gzip, gzip", "aws-chunked"])
def test_unsupported_encodings_are_rejected(encoding: str) -> None:
    with pytest.raises(media_types.UnsupportedEncoding, match="gzip, deflate"):
        media_types.check({"content-encoding": encoding}, binary=False)
