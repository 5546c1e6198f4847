"""Snowflake's HTTP protocol, as the connector speaks it: login, sessions, statements."""

from __future__ import annotations

import asyncio
import gzip
import logging
import secrets
import uuid
from collections import OrderedDict
from concurrent.futures import Executor
from typing import Any

import orjson
from snowflake.connector.errors import ProgrammingError
from sqlglot.errors import SqlglotError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from localcloud.log import event
from localcloud.snowflake.failures import INTERNAL, failure, unsupported
from localcloud.snowflake.objects.account.authentication import KeyPairVerifier, LoginRefused
from localcloud.snowflake.objects.account.logins import open_session
from localcloud.snowflake.result import rows_result
from localcloud.snowflake.sessions.account import Account
from localcloud.snowflake.sessions.clients import Client, Clients, ClientSession
from localcloud.snowflake.sessions.queries import Queries
from localcloud.snowflake.sessions.result_cache import ResultCache
from localcloud.snowflake.sessions.runner import Runner
from localcloud.snowflake.wire import replies
from localcloud.snowflake.wire.chunks import ChunkStore
from localcloud.snowflake.wire.multi_statement import split, split_bindings, wanted_count
from localcloud.snowflake.wire.results import Keep

log = logging.getLogger(__name__)

_KEPT_RESULTS = 100
# Snowflake's statement type of a request with several statements.
_MULTIPLE = 0xA000
_ALL_DONE = "Multiple statements executed successfully."


class Protocol:
    """The routes of one server. ``work``: the threads in which statements run.

    ``answer_s``: seconds after which a request for a statement that still runs is answered with the URL to poll.
    """

    def __init__(
        self, account: Account, runner: Runner, verifier: KeyPairVerifier, work: Executor, answer_s: float
    ) -> None:
        self._account = account
        self._runner = runner
        self._clients = account.state(Clients)
        self._queries = account.state(Queries)
        self._verifier = verifier
        self._work = work
        self._answer_s = answer_s
        self._chunks = ChunkStore()
        self._masters: dict[str, str] = {}
        self._requests: OrderedDict[str, str] = OrderedDict()
        self._results: OrderedDict[str, asyncio.Future[dict[str, Any]]] = OrderedDict()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/session/v1/login-request", self._login, methods=["POST"]),
                Route("/session/token-request", self._renew, methods=["POST"]),
                Route("/session/heartbeat", self._alive, methods=["POST"]),
                Route("/session", self._session, methods=["POST"]),
                Route("/queries/v1/query-request", self._query, methods=["POST"]),
                Route("/queries/v1/abort-request", self._abort_request, methods=["POST"]),
                Route("/queries/{query_id}/abort-request", self._abort_query, methods=["POST"]),
                Route("/queries/{query_id}/result", self._result, methods=["GET"]),
                Route("/monitoring/queries/{query_id}", self._monitor, methods=["GET"]),
                Route("/results/{name}", self._chunk, methods=["GET"]),
                Route("/telemetry/send", self._telemetry, methods=["POST"]),
            ]
        )

    async def _login(self, request: Request) -> Response:
        data = (await _json(request)).get("data", {})
        options = request.query_params
        parameters = data.get("SESSION_PARAMETERS") or {}
        token, master = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        try:
            user = self._verifier.login(data)
            session = open_session(
                self._account,
                user,
                database=_name(options.get("databaseName")),
                schema=_name(options.get("schemaName")),
                warehouse=_name(options.get("warehouse")),
                role=_name(options.get("roleName")),
                parameters=parameters,
            )
        except LoginRefused as error:
            return replies.refusal(error.code, str(error), {"authnMethod": "KEYPAIR"})
        session.client = " ".join(str(data[key]) for key in ("CLIENT_APP_ID", "CLIENT_APP_VERSION") if data.get(key))
        self._clients.add(token, ClientSession(session, self._runner))
        self._masters[master] = token
        event(log, logging.INFO, "session opened", session=session.id)
        return replies.answer(replies.login_data(session, token, master))

    def _client(self, request: Request) -> Client | None:
        return self._clients.find(_token(request))

    async def _renew(self, request: Request) -> Response:
        """A session token for the master token; the connector asks for it when the session token has expired."""
        token = self._masters.get(_token(request))
        if token is None or self._clients.find(token) is None:
            return replies.refusal("390114", "Authentication token has expired.  The user must authenticate again.")
        return replies.answer(
            {"sessionToken": token, "masterToken": _token(request), "validityInSecondsST": replies.TOKEN_S}
        )

    async def _alive(self, request: Request) -> Response:
        return replies.answer(None) if self._client(request) else replies.expired()

    async def _session(self, request: Request) -> Response:
        if self._client(request) is None:
            return replies.expired()
        if request.query_params.get("delete") == "true":
            token = _token(request)
            self._masters = {master: kept for master, kept in self._masters.items() if kept != token}
            await self._off_loop(self._clients.remove, token)
        return replies.answer(None)

    async def _off_loop(self, work: Any, *args: Any) -> Any:
        return await self._in(self._work, work, *args)

    async def _in(self, threads: Executor, work: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(threads, work, *args)

    async def _query(self, request: Request) -> Response:
        client = self._client(request)
        if client is None:
            return replies.expired()
        body = await _json(request)
        self._loop = asyncio.get_running_loop()
        query_id = str(uuid.uuid4())
        request_id = request.query_params.get("requestId", query_id)
        known = self._requests.setdefault(request_id, query_id)
        if known in self._results:
            # The client lost the reply and repeats the request. The statement must not run twice.
            query_id, running = known, self._results[known]
        else:
            threads = client.threads or self._work
            running = asyncio.ensure_future(self._in(threads, self._run, client, body, query_id, str(request.base_url)))
            self._requests[request_id] = query_id
            while len(self._requests) > _KEPT_RESULTS:
                self._requests.popitem(last=False)
            self._keep(query_id, running)
        if body.get("asyncExec"):
            return replies.asynchronous(query_id)
        return await self._answer_in_time(query_id, running)

    def _keep(self, query_id: str, running: asyncio.Future[dict[str, Any]]) -> None:
        self._results[query_id] = running
        while len(self._results) > _KEPT_RESULTS:
            self._results.popitem(last=False)

    def _run(self, client: Client, body: dict[str, Any], query_id: str, base_url: str) -> dict[str, Any]:
        """Run the request's statements in order; returns the reply."""
        try:
            statements = split(body["sqlText"], wanted_count(body, client.session.parameters))
        except ProgrammingError as error:
            return replies.failed(error, query_id)
        if len(statements) <= 1:
            return self._run_one(client, body, query_id, base_url)
        divided = split_bindings(body.get("bindings"), [count for _, count in statements])
        ids, types = [], []
        for (sql, _), bindings in zip(statements, divided, strict=True):
            one_id = str(uuid.uuid4())
            one = self._run_one(client, {**body, "sqlText": sql, "bindings": bindings}, one_id, base_url)
            if not one["success"]:
                return one
            self._loop.call_soon_threadsafe(self._keep_ended, one_id, one)
            ids.append(one_id)
            types.append(str(one["data"]["statementTypeId"]))
        answer = rows_result([("multiple statement execution", "text")], [[_ALL_DONE]], _MULTIPLE)
        self._account.state(ResultCache).keep(query_id, client.session.user, answer)
        data = replies.query_data(client.session, answer, query_id, "", self._keep_chunk(base_url))
        data |= {"resultIds": ",".join(ids), "resultTypes": ",".join(types)}
        return replies.succeeded(data)

    def _run_one(self, client: Client, body: dict[str, Any], query_id: str, base_url: str) -> dict[str, Any]:
        sql, describe = body["sqlText"], bool(body.get("describeOnly"))
        given = body.get("parameters") or {}
        if body.get("bindStage"):
            return replies.failed(
                unsupported("bind values in a stage; set CLIENT_STAGE_ARRAY_BINDING_THRESHOLD = 0"), query_id
            )
        tag = given.get("QUERY_TAG")
        try:
            result = client.run(sql, body.get("bindings"), query_id=query_id, describe_only=describe, tag=tag)
            return replies.succeeded(
                replies.query_data(client.session, result, query_id, sql, self._keep_chunk(base_url), given)
            )
        except ProgrammingError as error:
            return replies.failed(error, query_id)
        except (SqlglotError, NotImplementedError) as error:
            return replies.failed(unsupported(f"this statement ({str(error).splitlines()[0][:200]})"), query_id)
        except Exception as error:
            log.exception("internal error while a statement ran")
            return replies.failed(
                failure(INTERNAL, "XX000", f"The local Snowflake failed on this statement ({type(error).__name__})."),
                query_id,
            )

    def _keep_ended(self, query_id: str, reply: dict[str, Any]) -> None:
        self._keep(query_id, _ended(reply))

    def _keep_chunk(self, base_url: str) -> Keep:
        return lambda chunk: f"{base_url}results/{self._chunks.keep(chunk)}"

    async def _chunk(self, request: Request) -> Response:
        """A chunk of a large result, readable by anyone who knows its name."""
        path = self._chunks.path(request.path_params["name"])
        return FileResponse(path) if path else Response(status_code=404)

    def close(self) -> None:
        self._chunks.close()

    async def _abort_request(self, request: Request) -> Response:
        wanted = (await _json(request)).get("requestId", "")
        self._queries.cancel(self._requests.get(wanted, ""))
        return replies.answer(None)

    async def _abort_query(self, request: Request) -> Response:
        self._queries.cancel(request.path_params["query_id"])
        return replies.answer(None)

    async def _result(self, request: Request) -> Response:
        running = self._results.get(request.path_params["query_id"])
        if running is None:
            return replies.refusal("000709", f"Statement {request.path_params['query_id']} not found")
        return await self._answer_in_time(request.path_params["query_id"], running)

    async def _answer_in_time(self, query_id: str, running: asyncio.Future[dict[str, Any]]) -> Response:
        """The statement's reply, or after ``answer_s`` seconds the URL to poll."""
        await asyncio.wait({running}, timeout=self._answer_s)
        if running.done():
            return replies.response(running.result())
        return replies.still_running(query_id)

    async def _monitor(self, request: Request) -> Response:
        if self._client(request) is None:
            return replies.expired()
        query_id = request.path_params["query_id"]
        running = self._results.get(query_id)
        if running is None:
            return replies.answer({"queries": []})
        if not running.done():
            return replies.answer({"queries": [{"id": query_id, "status": "RUNNING"}]})
        reply = running.result()
        if reply["success"]:
            return replies.answer({"queries": [{"id": query_id, "status": "SUCCESS"}]})
        status = {
            "id": query_id,
            "status": "FAILED_WITH_ERROR",
            "errorCode": reply["code"],
            "errorMessage": reply["message"],
        }
        return replies.answer({"queries": [status]})

    async def _telemetry(self, _request: Request) -> Response:
        return replies.answer(None)


def _ended(reply: dict[str, Any]) -> asyncio.Future[dict[str, Any]]:
    future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    future.set_result(reply)
    return future


async def _json(request: Request) -> dict[str, Any]:
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    found: dict[str, Any] = orjson.loads(body) if body else {}
    return found


def _token(request: Request) -> str:
    """The token in ``Snowflake Token="..."``."""
    return request.headers.get("Authorization", "").partition('Token="')[2].rstrip('"')


def _name(text: str | None) -> str | None:
    if not text:
        return None
    return text[1:-1] if text.startswith('"') and text.endswith('"') else text.upper()
