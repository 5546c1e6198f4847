"""The process inside an inference container: what SageMaker's XGBoost image does in script mode.

It imports nothing of the local cloud and is run by path, ``python -P serving.py FD ROOT [network-closed]``: FD is a listening
socket inherited from the parent, ROOT stands for ``/opt/ml``. It follows sagemaker-xgboost-container's ``serving.py`` and
sagemaker-containers 2.8.6.post2 (``_transformer``, ``_worker``). For user code this means:

* ``input_fn`` gets text for exactly ``application/json`` and ``text/csv``, bytes for every other type, and the whole
  Content-Type; without one the type is ``application/json``. ``*/*`` or no Accept means the default accept.
* An exception in user code is HTTP 500 with Flask's page. The exception's text goes to the log only.
* ``output_fn`` (or ``transform_fn``) returns what a Flask view may: text, bytes, dict, list, a Flask or werkzeug response or
  another WSGI application (for 4xx responses); or a tuple, of which the first two items are body and type.
* The submit directory is copied to ``/opt/ml/code``, and the program is imported from there.
"""

from __future__ import annotations

import asyncio
import csv
import errno
import importlib
import io
import json
import os
import shutil
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

NETWORK_CLOSED = "network-closed"
_TEXT_TYPES = ("application/json", "text/csv")
_HTML = "text/html; charset=utf-8"
_ERROR_PAGE = (
    b"<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n<h1>Internal Server Error</h1>\n"
    b"<p>The server encountered an internal error and was unable to complete your request. Either the server is "
    b"overloaded or there is an error in the application.</p>\n"
)

Answer = tuple[int, list[tuple[str, str]], bytes]


def default_model_fn(model_dir: str) -> Any:
    raise NotImplementedError("Please provide a model_fn implementation.")


def default_input_fn(data: Any, content_type: str) -> Any:
    """CSV or libsvm to a DMatrix, as the container's encoder reads them. RecordIO is not supported."""
    import numpy
    import xgboost

    text = data.decode() if isinstance(data, bytes) else data
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/csv":
        first = csv.Sniffer().sniff(text.split("\n")[0][:512]).delimiter
        delimiter = "," if first.isalnum() else first
        rows = [[cell or "nan" for cell in line.split(delimiter)] for line in text.split("\n")]
        return xgboost.DMatrix(numpy.array(rows).astype(None))
    if kind in ("text/libsvm", "text/x-libsvm"):
        pairs = [dict(cell.split(":", 1) for cell in line.split() if ":" in cell) for line in text.split("\n")]
        low = min((int(index) for row in pairs for index in row), default=0)
        wide = max((int(index) for row in pairs for index in row), default=-1) - min(low, 1) + 1
        matrix = numpy.zeros((len(pairs), wide))
        for number, row in enumerate(pairs):
            for index, value in row.items():
                matrix[number, int(index) - min(low, 1)] = float(value)
        return xgboost.DMatrix(matrix)
    raise ValueError(f"Content type {content_type} is not supported by this framework.")


def default_predict_fn(data: Any, model: Any) -> Any:
    return model.predict(data, validate_features=False)


def default_output_fn(prediction: Any, accept: str) -> Any:
    import numpy

    if accept == "application/json":
        return json.dumps(prediction, default=lambda value: value.tolist()), accept
    array = numpy.array(prediction)
    if accept == "text/csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(array.reshape(-1, 1) if array.ndim == 1 else array)
        return text.getvalue(), accept
    if accept == "application/x-npy":
        data = io.BytesIO()
        numpy.save(data, array)
        return data.getvalue(), accept
    raise ValueError(f"Content type {accept} is not supported by this framework.")


class Transformer:
    """Calls the user's functions with the loaded model."""

    def __init__(self, module: ModuleType, model_dir: str) -> None:
        names = ("input_fn", "predict_fn", "output_fn")
        self._transform = getattr(module, "transform_fn", None)
        if self._transform and any(hasattr(module, name) for name in names):
            raise ValueError("Cannot use transform_fn implementation with input_fn, predict_fn, and/or output_fn")
        self._input = getattr(module, "input_fn", default_input_fn)
        self._predict = getattr(module, "predict_fn", default_predict_fn)
        self._output = getattr(module, "output_fn", default_output_fn)
        self._accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "application/json")
        self._model = getattr(module, "model_fn", default_model_fn)(model_dir)

    def answer(self, body: bytes, content_type: str, accept: str) -> Answer:
        """Run one invocation; never raises."""
        content = body.decode("utf-8", "replace") if content_type in _TEXT_TYPES else body
        if accept in ("", "*/*"):
            accept = self._accept
        try:
            return flask_answer(self._result(content, content_type, accept))
        except Exception:
            traceback.print_exc()
            return 500, [("content-type", _HTML)], _ERROR_PAGE

    def _result(self, content: Any, content_type: str, accept: str) -> Any:
        if self._transform:
            return self._transform(self._model, content, content_type, accept)
        return self._output(self._predict(self._input(content, content_type), self._model), accept)


def flask_answer(result: Any) -> Answer:
    """The response that Flask makes of a view's result. The toolkit uses the first two items of a tuple only."""
    if isinstance(result, tuple):
        return 200, [("content-type", _with_charset(result[1]))], _bytes(result[0])
    if isinstance(result, (str, bytes, bytearray)):
        return 200, [("content-type", _HTML)], _bytes(result)
    if isinstance(result, (dict, list)):
        return 200, [("content-type", "application/json")], json.dumps(result).encode()
    if callable(result):
        return _wsgi_answer(result)
    raise TypeError(
        "The view function did not return a valid response. The return type must be a string, dict, list, tuple with "
        f"headers or status, Response instance, or WSGI callable, but it was a {type(result).__name__}."
    )


def _bytes(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode()
    return body if isinstance(body, bytes) else b"".join(map(_bytes, body)) if _is_parts(body) else bytes(body)


def _is_parts(body: Any) -> bool:
    return isinstance(body, Iterable) and not isinstance(body, (bytearray, memoryview))


def _with_charset(mimetype: str) -> str:
    """``mimetype`` with the charset that werkzeug adds to text types."""
    return f"{mimetype}; charset=utf-8" if mimetype.startswith("text/") and "charset" not in mimetype else mimetype


def _wsgi_answer(application: Callable[..., Iterable[bytes]]) -> Answer:
    head: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
        head[:] = [int(status.split(" ", 1)[0]), headers]

    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/invocations",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
    }
    body = b"".join(application(environ, start_response))
    kept = [(name.lower(), value) for name, value in head[1] if name.lower() != "content-length"]
    return head[0], kept, body


class Application:
    """The ASGI application: ``GET /ping`` and ``POST /invocations``. User code runs in ``workers`` threads."""

    def __init__(self, transformer: Transformer, workers: int) -> None:
        self._transformer = transformer
        self._pool = ThreadPoolExecutor(workers)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        status, headers, body = await self._respond(scope, receive)
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        raw.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, scope: Any, receive: Any) -> Answer:
        if scope["path"] == "/ping":
            return 200, [("content-type", "application/json")], b""
        if scope["path"] != "/invocations":
            return 404, [], b""
        if scope["method"] != "POST":
            return 405, [], b""
        parts = []
        more = True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        return await asyncio.get_running_loop().run_in_executor(
            self._pool,
            self._transformer.answer,
            parts[0] if len(parts) == 1 else b"".join(parts),
            headers.get(b"content-type") or "application/json",
            headers.get(b"accept", ""),
        )


def import_program(root: Path) -> ModuleType:
    """Copy the submit directory to ``code`` and import the program from there."""
    code = root / "code"
    submitted = Path(os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", code))
    if submitted != code:
        shutil.copytree(submitted, code, dirs_exist_ok=True)
    sys.path.insert(0, str(code))
    os.chdir(code)
    return importlib.import_module(os.environ["SAGEMAKER_PROGRAM"].removesuffix(".py"))


def end_with_parent() -> None:
    """Exit when standard input ends: it is a pipe that the parent never writes to and that closes with the parent."""

    def watch() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def close_network() -> None:
    """EnableNetworkIsolation: block name resolution, outgoing connections and child processes; listening sockets keep working."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        outwards = (
            event in ("socket.connect", "socket.sendto", "socket.sendmsg") and arguments[0].family != socket.AF_UNIX
        )
        if outwards or event in ("socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen", "os.posix_spawn"):
            raise OSError(errno.ENETUNREACH, "Network is unreachable: the model has EnableNetworkIsolation")

    sys.addaudithook(refuse)


def main() -> None:
    """Load the model, then serve until SIGTERM."""
    # The process starts with SIGTERM ignored; without this it could not be stopped while the model loads.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()
    import uvicorn

    listener = socket.socket(fileno=int(sys.argv[1]))
    root = Path(sys.argv[2])
    if NETWORK_CLOSED in sys.argv[3:]:
        close_network()
    transformer = Transformer(import_program(root), str(root / "model"))
    workers = int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or os.cpu_count() or 1)
    config = uvicorn.Config(
        Application(transformer, workers),
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=3600,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
