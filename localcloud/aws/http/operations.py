"""The operation that a request calls, as ``service:Operation``, and the resources that it names.

Works for all of AWS's protocols. An S3 request does not name its operation: it follows from the method, the path, and the query
and header members that botocore's service model requires.
"""

from __future__ import annotations

import functools
import io
import json
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

import botocore.loaders
import botocore.model

from localcloud.aws.http.protocol import Environ
from localcloud.faults.rules import Target

_SCOPE = re.compile(r"Credential=[^/]*/\d+/[^/]*/(?P<service>[^/]+)/aws4_request")
_RUNTIME = re.compile(r"^/endpoints/(?P<name>[^/]+)/(?P<kind>[a-z-]+)$")
_RUNTIME_OPERATIONS = {
    "invocations": "InvokeEndpoint",
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
}
_NAMING = re.compile(r"(Name|Arn)$")


def signed_service(environ: Environ) -> str | None:
    """The service in the request's credential scope, from the Authorization header or from a presigned URL's query."""
    text = environ.get("HTTP_AUTHORIZATION", "")
    if not text and "X-Amz-Credential" in environ.get("QUERY_STRING", ""):
        text = "Credential=" + dict(parse_qsl(environ["QUERY_STRING"])).get("X-Amz-Credential", "")
    match = _SCOPE.search(text)
    return match["service"] if match else None


def protocol_of(environ: Environ) -> str:
    """The protocol in which the client expects errors: ``s3``, ``runtime``, ``json`` or ``query``."""
    service = signed_service(environ)
    if service in (None, "s3"):
        return "s3"
    if "HTTP_X_AMZ_TARGET" in environ:
        return "json"
    return "runtime" if service == "sagemaker" else "query"


def target_of(environ: Environ) -> Target:
    """The request's operation and resources for fault rules; the body stays readable."""
    service = signed_service(environ)
    if service in (None, "s3"):
        return _s3_target(environ)
    header = environ.get("HTTP_X_AMZ_TARGET", "")
    if header:
        return Target((f"{service}:{header.rpartition('.')[2]}",), tuple(_json_names(_body(environ))))
    runtime = _RUNTIME.match(environ["PATH_INFO"])
    if service == "sagemaker" and runtime:
        operation = _RUNTIME_OPERATIONS.get(runtime["kind"], runtime["kind"])
        return Target((f"sagemaker-runtime:{operation}",), (unquote(runtime["name"]),))
    form = dict(parse_qsl(_body(environ).decode("utf-8", "replace")))
    named = tuple(value for key, value in form.items() if _NAMING.search(key))
    return Target((f"{service}:{form.get('Action', environ['REQUEST_METHOD'])}",), named)


def _body(environ: Environ) -> bytes:
    body: bytes = environ["wsgi.input"].read()
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _json_names(body: bytes) -> list[str]:
    try:
        params = json.loads(body or b"{}")
    except ValueError:
        return []
    if not isinstance(params, dict):
        return []
    return [value for key, value in params.items() if isinstance(value, str) and (_NAMING.search(key) or "Name" in key)]


@dataclass(frozen=True)
class _S3Operation:
    """One S3 operation: the query and header members that a request for it has."""

    name: str
    query: dict[str, str]
    required_query: frozenset[str]
    required_headers: frozenset[str]

    def fits(self, query: dict[str, str], environ: Environ) -> bool:
        if any(key not in query or (value and query[key] != value) for key, value in self.query.items()):
            return False
        headers = {"HTTP_" + name.upper().replace("-", "_") for name in self.required_headers}
        return self.required_query <= query.keys() and all(name in environ for name in headers)

    @property
    def weight(self) -> int:
        return len(self.query) + len(self.required_query) + len(self.required_headers)


@functools.cache
def _s3_operations() -> dict[tuple[str, int], list[_S3Operation]]:
    """Operations by method and number of path parts (service, bucket, object), those with the most requirements first."""
    description = botocore.loaders.Loader().load_service_model("s3", "service-2")
    model = botocore.model.ServiceModel(description, "s3")
    found: dict[tuple[str, int], list[_S3Operation]] = {}
    for name in model.operation_names:
        operation = model.operation_model(name)
        if operation.deprecated or name in ("ListDirectoryBuckets", "CreateSession", "WriteGetObjectResponse"):
            continue
        path, _, fixed = operation.http["requestUri"].partition("?")
        locations: dict[str, set[str]] = {"querystring": set(), "header": set()}
        shape = operation.input_shape
        required = [shape.members[member] for member in shape.required_members] if shape else []
        for member in (item.serialization for item in required):
            if member.get("location") in locations:
                locations[member["location"]].add(member["name"])
        parts = 2 if "{Key+}" in path else 1 if "{Bucket}" in path else 0
        entry = _S3Operation(
            name,
            dict(parse_qsl(fixed, keep_blank_values=True)),
            frozenset(locations["querystring"]),
            frozenset(locations["header"]),
        )
        found.setdefault((operation.http["method"], parts), []).append(entry)
    for operations in found.values():
        operations.sort(key=lambda item: (-item.weight, item.name))
    return found


def _s3_target(environ: Environ) -> Target:
    method = environ["REQUEST_METHOD"]
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    parts = 2 if key else 1 if bucket else 0
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    name = next((item.name for item in _s3_operations().get((method, parts), []) if item.fits(query, environ)), method)
    return Target((f"s3:{name}",), tuple(filter(None, (bucket, f"{bucket}/{key}" if key else ""))))
