"""Main loop of the worker process: load a handler once, then answer requests until the input closes.

The handler's own output is discarded, as in Snowflake. A separate thread reads the input, so that the process also
exits when the server ends while a handler runs.
"""

from __future__ import annotations

import functools
import os
import queue
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from localcloud.snowflake.routines.python.worker import handler, logs, messages, tables, values


class Worker:
    """One handler and its SQL types."""

    def __init__(self, header: dict[str, Any]) -> None:
        handler.provide_snowflake(header["directory"])
        self._types: list[values.SqlType] = header["arguments"]
        self._returns: values.SqlType = header["returns"]
        self._table: list[tuple[str, values.SqlType]] = header.get("table", [])
        self._strict: bool = header["strict"]
        self._handler = handler.load(header["handler"], header["code"])

    def answer(self, header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        columns = messages.unpacked(body)
        if header["kind"] == "call":
            return self._call(header, [values.to_python(*pair)[0] for pair in zip(columns, self._types, strict=True)])
        if self._table:
            rows = tables.Rows(self._handler, self._table)
            given = [values.to_python(*pair) for pair in zip(columns, self._types, strict=True)]
            return {"kind": "rows"}, messages.packed([rows.answers(given, header["rows"], strict=self._strict)])
        run = self._row_by_row if getattr(self._handler, "_sf_vectorized_input", None) is None else self._vectorised
        answers = self._skip_nulls(run, columns) if self._strict and columns else run(columns, header["rows"])
        return {"kind": "rows"}, messages.packed([answers])

    def _skip_nulls(self, run: Callable[[list[Any], int], Any], columns: list[Any]) -> Any:
        """Results of a strict function: NULL for rows with a NULL argument, without calling the handler for them."""
        kept = functools.reduce(pc.and_, [column.is_valid() for column in columns])
        count = pc.sum(kept).as_py() or 0
        answers = run([column.filter(kept) for column in columns], count)
        indices = pc.subtract(pc.cumulative_sum(kept.cast(pa.int64())), 1)
        return answers.take(pc.if_else(kept, indices, None))

    def _row_by_row(self, columns: list[Any], rows: int) -> Any:
        given = [values.to_python(*pair) for pair in zip(columns, self._types, strict=True)]
        run = self._handler
        answers = [run(*row) for row in zip(*given, strict=True)] if given else [run() for _ in range(rows)]
        return values.to_column(answers, self._returns)

    def _vectorised(self, columns: list[Any], rows: int) -> Any:
        from localcloud.snowflake.routines.python.worker import vectorized

        most = getattr(self._handler, "_sf_max_batch_size", None) or rows
        parts = []
        for start in range(0, rows, most):
            batch = [column.slice(start, most) for column in columns]
            count = min(most, rows - start)
            parts.append(
                vectorized.column(self._handler(vectorized.dataframe(batch, self._types, count)), self._returns, count)
            )
        return pa.concat_arrays(parts) if parts else values.to_column([], self._returns)

    def _call(self, header: dict[str, Any], arguments: list[Any]) -> tuple[dict[str, Any], bytes]:
        from localcloud.snowflake.routines.python.worker import procedure

        session = procedure.session(header["connection"])
        answer = self._handler(session, *arguments)
        if self._returns["name"] == "TABLE":
            return {"kind": "table", "query_id": procedure.query_of(answer)}, b""
        return {"kind": "value"}, messages.packed([values.to_column([answer], self._returns)])


def _read(stream: BinaryIO, waiting: queue.SimpleQueue[messages.Message]) -> None:
    while (message := messages.read(stream)) is not None:
        waiting.put(message)
    os._exit(0)


def main() -> None:
    incoming = os.fdopen(os.dup(0), "rb")
    outgoing = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nothing, descriptor)
    waiting: queue.SimpleQueue[messages.Message] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(incoming, waiting), daemon=True).start()
    worker: Worker | None = None
    logged = logs.Logs()
    while True:
        header, body = waiting.get()
        logged.listen(header["log_level"])
        try:
            if worker is None:
                worker = Worker(header)
                reply: tuple[dict[str, Any], bytes] = {"kind": "ready"}, b""
            else:
                reply = worker.answer(header, body)
        except (Exception, SystemExit) as error:
            reply = {"kind": "error", "text": handler.explained(error)}, b""
        messages.write(outgoing, {**reply[0], "logs": logged.taken()}, reply[1])
