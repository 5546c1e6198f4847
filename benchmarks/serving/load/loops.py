"""The load generator: one process and thread, plain sockets that stay open, requests prepared as bytes.

``closed_loop`` keeps a number of requests in flight; each connection sends its next request when its reply has arrived.
``open_loop`` sends at given times regardless of replies, as a warehouse does. Both wait for the last reply. No HTTP client is
used, because it would cost more than the fastest server here.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.serving.load.exchange import ID_CHARS, Exchange

_HEAD_END = b"\r\n\r\n"
_SEND_BYTES = 4 << 20
_RECEIVE_BYTES = 1 << 16
_STUCK_S = 60.0
OK, REFUSED = 200, 429
_REST_S = 0.05


@dataclass
class Window:
    """The replies. ``statuses``: replies by status, 0 for broken connections; ``seconds_by_status``: their latencies.

    ``finished``: the end of each good reply, in seconds since the window's start. ``sample``: bodies of good replies,
    the last of each connection. ``begun``: requests sent by an open loop, and ``ended_at`` the clock when it stopped.
    """

    wall_s: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    seconds_by_status: dict[int, list[float]] = field(default_factory=dict)
    finished: list[float] = field(default_factory=list)
    sample: list[bytes] = field(default_factory=list)
    begun: int = 0
    ended_at: float = 0.0

    @property
    def latencies(self) -> list[float]:
        """Seconds of the good replies."""
        return self.seconds_by_status.get(OK, [])


class _Connection:
    """One socket with at most one running request."""

    def __init__(self, exchange: Exchange, ids: Iterator[bytes]) -> None:
        self._exchange, self._ids = exchange, ids
        self._body = memoryview(exchange.body)
        self._buffer = bytearray(_RECEIVE_BYTES)
        self._view = memoryview(self._buffer)
        self.status = 0
        self.waits = False
        self.sent_at = 0.0
        self.due = 0.0
        self.open()

    def open(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self._exchange.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        self.socket.setblocking(False)
        self._pending: deque[memoryview] = deque()

    def begin(self) -> bool:
        """Send a request; True if part of it still waits for buffer space."""
        exchange = self._exchange
        self._received, self._head_end, self._expected = 0, -1, -1
        self.waits = True
        self._pending.append(memoryview(exchange.before + next(self._ids) + exchange.after))
        if self._body:
            self._pending.append(self._body)
        self.sent_at = time.perf_counter()
        return self.flush()

    def flush(self) -> bool:
        """Send what waits; True if some still does."""
        while self._pending:
            try:
                sent = self.socket.sendmsg(self._pending)
            except BlockingIOError:
                return True
            while self._pending and sent >= len(self._pending[0]):
                sent -= len(self._pending.popleft())
            if sent:
                self._pending[0] = self._pending[0][sent:]
        return False

    def receive(self) -> int | None:
        """Read what has arrived; the status once the reply is complete. Raises ConnectionError if the server closed the
        connection.
        """
        try:
            count = self.socket.recv_into(self._view[self._received :])
        except BlockingIOError:
            return None
        if not count:
            raise ConnectionResetError
        self._received += count
        if self._head_end < 0:
            self._read_head()
        if self._head_end < 0 or not self._complete():
            if self._received == len(self._buffer):
                self._grow()
            return None
        self.status = int(self._buffer[9:12])
        return self.status

    def reply(self) -> bytes:
        """The body of the last reply."""
        body = bytes(self._view[self._head_end : self._received])
        return body if self._expected >= 0 else b"".join(dechunked(body))

    @property
    def closing(self) -> bool:
        """Whether the server closes the connection after this reply."""
        return b"connection: close" in bytes(self._view[: self._head_end]).lower()

    def _read_head(self) -> None:
        end = self._buffer.find(_HEAD_END, 0, self._received)
        if end < 0:
            return
        head = bytes(self._view[:end]).lower()
        self._head_end = end + len(_HEAD_END)
        if b"\r\ntransfer-encoding: chunked" not in head:
            self._expected = self._head_end + int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0] or 0)

    def _complete(self) -> bool:
        if self._expected >= 0:
            return self._received >= self._expected
        return self._buffer.endswith(b"0\r\n\r\n", 0, self._received)

    def _grow(self) -> None:
        self._view.release()
        self._buffer = self._buffer + bytearray(len(self._buffer))
        self._view = memoryview(self._buffer)


def dechunked(body: bytes) -> Iterator[bytes]:
    """The pieces of a chunked body."""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        yield rest[:length]
        body = rest[length + 2 :] if length else b""


def _ids() -> Iterator[bytes]:
    stem, number = os.urandom(6).hex(), 0
    while True:
        yield f"{stem}{number:0{ID_CHARS - len(stem)}x}".encode()
        number += 1


@contextmanager
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Loop:
    """The sockets of one window, and their replies."""

    def __init__(self, exchange: Exchange, connections: int) -> None:
        ids = _ids()
        self.window = Window()
        self.poll = select.epoll()
        self.connections = [_Connection(exchange, ids) for _ in range(connections)]
        self.by_number: dict[int, _Connection] = {}
        for connection in self.connections:
            self._watch(connection)
        self.started = time.perf_counter()

    def _watch(self, connection: _Connection) -> None:
        self.by_number[connection.socket.fileno()] = connection
        self.poll.register(connection.socket.fileno(), select.EPOLLIN)

    def begin(self, connection: _Connection) -> None:
        try:
            waits = connection.begin()
        except ConnectionError:  # closed while idle; any client would connect again
            self._reopen(connection)
            waits = connection.begin()
        if waits:
            self.poll.modify(connection.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def answered(self, timeout_s: float) -> list[_Connection]:
        """The connections that are free again after waiting for at most ``timeout_s``."""
        free = []
        for number, events in self.poll.poll(timeout_s):
            connection = self.by_number[number]
            if not connection.waits:  # the server closed an idle connection, as it may
                self._reopen(connection)
                continue
            try:
                if events & select.EPOLLOUT and not connection.flush():
                    self.poll.modify(number, select.EPOLLIN)
                if not events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                    continue
                status = connection.receive()
            except ConnectionError:
                status = connection.status = 0
            if status is None:
                continue
            self._count(connection, status)
            if status == 0 or connection.closing:
                self._reopen(connection)
            free.append(connection)
        return free

    def _count(self, connection: _Connection, status: int) -> None:
        now, window = time.perf_counter(), self.window
        connection.waits = False
        window.statuses[status] += 1
        window.seconds_by_status.setdefault(status, []).append(now - (connection.due or connection.sent_at))
        if status == OK:
            window.finished.append(now - self.started)

    def _reopen(self, connection: _Connection) -> None:
        number = connection.socket.fileno()
        self.poll.unregister(number)
        del self.by_number[number]
        connection.socket.close()
        connection.open()
        self._watch(connection)

    def close(self) -> Window:
        window = self.window
        window.wall_s = time.perf_counter() - self.started
        for connection in self.connections:
            connection.socket.close()
        self.poll.close()
        return window


def closed_loop(exchange: Exchange, in_flight: int, seconds: float) -> Window:
    """Load from ``in_flight`` connections for ``seconds``, then until the last reply. A rejected connection waits 50 ms."""
    loop = _Loop(exchange, in_flight)
    with _without_collector():
        deadline = loop.started + seconds
        for connection in loop.connections:
            loop.begin(connection)
        busy, heard = in_flight, loop.started
        resting: deque[tuple[float, _Connection]] = deque()
        while busy:
            free = loop.answered(_REST_S if resting else 1.0)
            now = time.perf_counter()
            if free:
                heard = now
            elif now - heard > _STUCK_S:
                loop.window.statuses[0] += busy
                break
            refused = [connection for connection in free if connection.status == REFUSED]
            resting.extend((now + _REST_S, connection) for connection in refused)
            ready = [connection for connection in free if connection.status != REFUSED]
            while resting and resting[0][0] <= now:
                ready.append(resting.popleft()[1])
            for connection in ready:
                if now < deadline:
                    loop.begin(connection)
                else:
                    busy -= 1
    loop.window.sample = [
        connection.reply() for connection in loop.connections if connection.status == OK and not connection.waits
    ]
    return loop.close()


def open_loop(exchange: Exchange, rate: float, seconds: float, connections: int) -> Window:
    """Send ``rate`` requests a second for ``seconds``, regardless of replies; then drop open requests and close the sockets.

    A request's latency counts from when it was due, also if it had to wait for one of the ``connections``.
    """
    loop = _Loop(exchange, connections)
    window, idle = loop.window, list(loop.connections)
    waiting: deque[float] = deque()
    arrived, total = 0, int(rate * seconds)
    with _without_collector():
        while (now := time.perf_counter() - loop.started) < seconds:
            due = min(total, int(now * rate))
            waiting.extend(loop.started + number / rate for number in range(arrived, due))
            arrived = due
            while waiting and idle:
                connection = idle.pop()
                connection.due = waiting.popleft()
                loop.begin(connection)
                window.begun += 1
            next_due = (arrived + 1) / rate
            idle.extend(loop.answered(max(0.0, min(next_due, seconds) - now)))
    window.ended_at = time.perf_counter()
    return loop.close()
