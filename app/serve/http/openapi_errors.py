"""Errors in the OpenAPI document: the statuses that an operation may answer, with their headers and problem types.

They are written once, as components, and each operation refers to those that it may answer: an operation with a body may find it
too large, one that names a model may not find it. OpenAPI has no place for 405, which belongs to a path, so each operation has it.
"""

from __future__ import annotations

from typing import Any

from app.serve.http.problem_types import TYPES
from app.serve.http.problems import PLAIN_MEDIA_TYPE, PROBLEM_MEDIA_TYPE, is_plain
from app.serve.http.schemas import PlainError

_ALWAYS, _CREDENTIAL = (405, 500), (401, 403)
_MODEL, _BODY, _DEFERRED = (404, 503), (400, 408, 413, 415, 429), (400, 413, 429)

_SCHEMAS = {
    "Error": PlainError.model_json_schema(),
    "Problem": {
        "description": "A problem document, RFC 9457. `GET` on `type` explains it.",
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "enum": [kind.uri for kind in TYPES.values()]},
            "title": {"type": "string", "enum": [kind.title for kind in TYPES.values()]},
            "status": {"type": "integer", "enum": sorted({kind.status for kind in TYPES.values()})},
            "detail": {"type": "string", "description": "What happened and what to do, without the values of rows."},
        },
    },
}


def header(description: str, *, required: bool = True, **schema: Any) -> dict[str, Any]:
    """A response header."""
    return {"description": description, "required": required, "schema": schema or {"type": "string"}}


_RETRY = {"Retry-After": header("Seconds after which to try again.", type="integer", minimum=1)}
_CHALLENGE = {"WWW-Authenticate": header("The missing credential or scope.")}
_HEADERS: dict[int, dict[str, Any]] = {
    401: _CHALLENGE,
    403: _CHALLENGE,
    405: {"Allow": header("The methods that the path has.")},
    415: {
        "Accept": header("The media types that are accepted, if the type was wrong.", required=False),
        "Accept-Encoding": header("The encodings that are accepted, if the encoding was wrong.", required=False),
    },
    429: _RETRY,
    503: _RETRY,
}


def describe(schema: dict[str, Any]) -> None:
    """Add to each operation of an OpenAPI document the errors that it may answer, unless it documents them itself."""
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {}).update(_SCHEMAS)
    components["responses"] = {
        _name(plain, status): _response(plain, status)
        for plain in (True, False)
        for status in sorted({kind.status for kind in TYPES.values()})
    }
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            plain, answers = is_plain(path), operation["responses"]
            for status in _statuses(path, operation):
                answers.setdefault(str(status), {"$ref": f"#/components/responses/{_name(plain, status)}"})


def _statuses(path: str, operation: dict[str, Any]) -> list[int]:
    found = {*_ALWAYS, *(_CREDENTIAL if operation.get("security") != [] else ())}
    found |= {*(_MODEL if "{model}" in path else ()), *([404] if "{" in path else ())}
    found |= {*(_BODY if "requestBody" in operation else _DEFERRED if "202" in operation["responses"] else ())}
    return sorted(found)


def _name(plain: bool, status: int) -> str:
    return f"{'Error' if plain else 'Problem'}{status}"


def _response(plain: bool, status: int) -> dict[str, Any]:
    kinds = [kind for kind in TYPES.values() if kind.status == status]
    body: dict[str, Any] = {"$ref": f"#/components/schemas/{'Error' if plain else 'Problem'}"}
    if not plain:
        values = {"type": [kind.uri for kind in kinds], "title": [kind.title for kind in kinds], "status": [status]}
        body["properties"] = {name: {"enum": allowed} for name, allowed in values.items()}
    return {
        "description": " ".join(f"{kind.title}. {kind.remedy}" for kind in kinds),
        "headers": _HEADERS.get(status, {}),
        "content": {PLAIN_MEDIA_TYPE if plain else PROBLEM_MEDIA_TYPE: {"schema": body}},
    }
