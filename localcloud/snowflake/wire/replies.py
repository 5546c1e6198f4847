"""Replies in Snowflake's JSON envelope.

Errors are sent with HTTP 200 and ``success: false``: the connector takes a 4xx or 5xx for a transient error and retries for
minutes.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

import orjson
from snowflake.connector.errors import ProgrammingError
from starlette.responses import Response

from localcloud.snowflake.functions.context import VERSION
from localcloud.snowflake.objects.account.parameters import PARAMETERS
from localcloud.snowflake.result import Result
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.wire.results import Keep, encode

_IN_PROGRESS = "333334"
_STILL_RUNNING = "333333"
TOKEN_S = 4 * 3600
_DEFAULTS = {name: parameter.default for name, parameter in PARAMETERS.items()}
_OWN: dict[str, Any] = {
    # 0 keeps array bindings in the request; above a threshold the connector uploads them to a stage.
    "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD": 0,
    "CLIENT_TELEMETRY_ENABLED": False,
    "PYTHON_SNOWPARK_USE_SCOPED_TEMP_OBJECTS": True,
    # As accounts report it: numbers in generated SQL are written without a cast.
    "PYTHON_SNOWPARK_ELIMINATE_NUMERIC_SQL_VALUE_CAST_ENABLED": True,
}


def login_data(session: Session, token: str, master: str) -> dict[str, Any]:
    """``token`` and ``master``: the session token, and the master token that renews it."""
    return {
        "token": token,
        "masterToken": master,
        "validityInSeconds": TOKEN_S,
        "masterValidityInSeconds": TOKEN_S,
        "displayUserName": session.user,
        "serverVersion": VERSION,
        "sessionId": session.id,
        "parameters": _parameters(session),
        "sessionInfo": {
            "databaseName": session.database,
            "schemaName": session.schema,
            "warehouseName": session.warehouse,
            "roleName": session.role,
        },
    }


def _parameters(session: Session) -> list[dict[str, Any]]:
    """The parameters that clients read: defaults, those that fit this server better, and those that the session has."""
    found = {**_DEFAULTS, **_OWN, **session.parameters}
    return [{"name": name, "value": value} for name, value in found.items()]


def query_data(
    session: Session, result: Result, query_id: str, sql: str, keep: Keep, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``given``: parameters of this statement alone."""
    parameters = ChainMap({name.upper(): value for name, value in (given or {}).items()}, session.parameters)
    formats = ("PYTHON_CONNECTOR_QUERY_RESULT_FORMAT", "QUERY_RESULT_FORMAT")
    as_json = "JSON" in {str(parameters.get(name, "")).upper() for name in formats}
    return {
        **encode(result, keep, as_json=as_json, indent=int(parameters.get("JSON_INDENT", 2))),
        "parameters": _parameters(session),
        "queryId": query_id,
        "sqlState": "00000",
        "statementTypeId": result.type_id,
        "numberOfBinds": sql.count("?"),
        "arrayBindSupported": sql.lstrip()[:6].upper() == "INSERT",
        "finalDatabaseName": session.database,
        "finalSchemaName": session.schema,
        "finalWarehouseName": session.warehouse,
        "finalRoleName": session.role,
        "version": 1,
    }


def succeeded(data: dict[str, Any] | None) -> dict[str, Any]:
    return {"data": data, "success": True, "code": None, "message": None}


def failed(error: ProgrammingError, query_id: str) -> dict[str, Any]:
    code = f"{error.errno:06d}"
    data = {"errorCode": code, "sqlState": error.sqlstate, "queryId": query_id, "internalError": False}
    return {"data": data, "success": False, "code": code, "message": error.raw_msg}


def response(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def answer(data: dict[str, Any] | None) -> Response:
    return response(succeeded(data))


def asynchronous(query_id: str) -> Response:
    """The response to ``asyncExec``."""
    data = {"queryId": query_id, "getResultUrl": f"/queries/{query_id}/result", "queryAbortsAfterSecs": 300}
    return response(
        {"data": data, "success": True, "code": _IN_PROGRESS, "message": "Asynchronous execution in progress."}
    )


def refusal(code: str, text: str, data: dict[str, Any] | None = None) -> Response:
    return response({"data": data, "success": False, "code": code, "message": text})


def expired() -> Response:
    """Code 390104. For 390112, an expired token, the connector would request new tokens forever. It reads ``data`` in any case."""
    return refusal("390104", "User must login again to access the service.", {})


def still_running(query_id: str) -> Response:
    """The URL to poll for a statement that runs longer than a request may take."""
    data = {"queryId": query_id, "getResultUrl": f"/queries/{query_id}/result"}
    return response({"data": data, "success": True, "code": _STILL_RUNNING, "message": "Query execution in progress."})
