"""The speed of the local cloud for unloading, loading and scoring rows, compared with plain DuckDB.

One table of a key and 11 doubles is unloaded to Parquet on the local S3, loaded from there, and scored by an external function.
The function's service is an echo in a separate process: it unpacks a batch, counts its rows and sends a prepared response. Times
are wall-clock times of one run; the client, Snowflake and S3 share this process, as in ``snowsage local up``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb
import orjson
import snowflake.connector
from rich.console import Console
from rich.table import Table

from app.cloud.aws.session import AwsSession
from app.sandbox.cloud import BUCKET, CONNECTION, product_cloud

FEATURES = [f"C{index}" for index in range(11)]
_DOUBLES = ", ".join(f"SIN(ID * {index + 1}) AS {name}" for index, name in enumerate(FEATURES))
_MEBIBYTE = 2**20


class Echo(asyncio.Protocol):
    """A minimal HTTP server for POST requests on a persistent connection."""

    replies: dict[int, bytes] = {}  # noqa: RUF012

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._received = bytearray()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._received.clear()
        self._transport.write(self._reply(zlib.decompress(body, wbits=31).count(b"],[") + 1))

    def _reply(self, rows: int) -> bytes:
        if rows not in self.replies:
            body = orjson.dumps({"data": [[number, number / 7] for number in range(rows)]})
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self.replies[rows] = head.encode() + body
        return self.replies[rows]


def echo(told: Connection) -> None:
    """Serve until the process is stopped. Sends the port to ``told``."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def memory() -> float:
    """Resident memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MEBIBYTE


def set_up(cursor: Any, rows: int, echo_url: str) -> None:
    """Create the table, the stage and the function."""
    for text in (
        f"CREATE TABLE T AS SELECT ID, {_DOUBLES} FROM (SELECT SEQ8() AS ID FROM TABLE(GENERATOR(ROWCOUNT => {rows})))",
        "CREATE TABLE LOADED AS SELECT * FROM T LIMIT 0",
        "CREATE STORAGE INTEGRATION LAKE TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3' ENABLED = TRUE "
        f"STORAGE_AWS_ROLE_ARN = 'arn:aws:iam::123456789012:role/lake' STORAGE_ALLOWED_LOCATIONS = ('s3://{BUCKET}/')",
        f"CREATE STAGE ST URL = 's3://{BUCKET}/' STORAGE_INTEGRATION = LAKE FILE_FORMAT = (TYPE = PARQUET)",
        "CREATE API INTEGRATION API API_PROVIDER = aws_api_gateway ENABLED = TRUE "
        f"API_AWS_ROLE_ARN = 'arn:aws:iam::123456789012:role/api' API_ALLOWED_PREFIXES = ('{echo_url}')",
        f"CREATE EXTERNAL FUNCTION SCORE({', '.join(f'{name} FLOAT' for name in FEATURES)}) RETURNS FLOAT "
        f"API_INTEGRATION = API AS '{echo_url}score'",
    ):
        cursor.execute(text)


def through_the_cloud(cursor: Any, rows: int) -> dict[str, float]:
    """Seconds for each part."""

    def scored() -> None:
        cursor.execute(f"CREATE TABLE SCORED AS SELECT ID, SCORE({', '.join(FEATURES)}) AS Y FROM T")

    found = {
        "unload to Parquet": seconds(lambda: cursor.execute("COPY INTO @ST/t/ FROM (SELECT * FROM T) HEADER = TRUE")),
        "load from Parquet": seconds(
            lambda: cursor.execute("COPY INTO LOADED FROM @ST/t/ MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE")
        ),
        "score by an external function": seconds(scored),
    }
    for table in ("LOADED", "SCORED"):
        assert cursor.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (rows,)
    return found


def plain(rows: int, folder: Path) -> dict[str, float]:
    """The same parts on plain DuckDB."""
    with duckdb.connect() as duck:
        duck.execute("SET enable_progress_bar = false")
        duck.execute(f"CREATE TABLE T AS SELECT ID, {_DOUBLES} FROM (SELECT range AS ID FROM range({rows}))")
        duck.execute("CREATE TABLE LOADED AS SELECT * FROM T LIMIT 0")
        file = folder / "t.parquet"
        return {
            "unload to Parquet": seconds(lambda: duck.execute(f"COPY T TO '{file}'")),
            "load from Parquet": seconds(lambda: duck.execute(f"INSERT INTO LOADED SELECT * FROM '{file}'")),
            "score by an external function": seconds(
                lambda: duck.execute(f"CREATE TABLE SCORED AS SELECT ID, {' + '.join(FEATURES)} AS Y FROM T")
            ),
        }


def show(rows: int, cloud: dict[str, float], limit: dict[str, float], facts: dict[str, str]) -> None:
    """Print one table."""
    table = Table(title=f"{rows:,} rows of a key and {len(FEATURES)} doubles")
    for name in ("part", "seconds", "rows/s", "plain DuckDB rows/s"):
        table.add_column(name, justify="left" if name == "part" else "right")
    for name, took in cloud.items():
        table.add_row(name, f"{took:.1f}", f"{rows / took:,.0f}", f"{rows / limit[name]:,.0f}")
    table.add_section()
    for name, value in facts.items():
        table.add_row(name, value, "", "")
    console = Console()
    console.print(table)
    versions = f"Python {platform.python_version()}, DuckDB {duckdb.__version__}"
    console.print(f"{platform.machine()}, {os.cpu_count()} cores, {versions}", highlight=False)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows", nargs="?", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    told, tell = get_context("spawn").Pipe(duplex=False)
    service = get_context("spawn").Process(target=echo, args=(tell,), daemon=True)
    service.start()
    echo_url = f"http://127.0.0.1:{told.recv()}/"
    with tempfile.TemporaryDirectory(prefix="snowsage-benchmark-") as folder:
        with get_context("spawn").Pool(1) as pool:
            limit = pool.apply(plain, (rows, Path(folder)))
        before, started = memory(), time.perf_counter()
        with product_cloud(Path(folder) / "state") as cloud:
            facts = {
                "start-up": f"{time.perf_counter() - started:.2f}",
                "memory at start": f"{memory() - before:.0f} MiB",
            }
            os.environ.update(cloud.environment)
            AwsSession().client("s3").create_bucket(Bucket=BUCKET)
            with snowflake.connector.connect(
                connection_name=CONNECTION,
                connections_file_path=cloud.state / "connections.toml",
                database="SNOWSAGE",
                schema="PUBLIC",
            ) as client:
                cursor = client.cursor()
                set_up(cursor, rows, echo_url)
                facts["memory with the table"] = f"{memory():.0f} MiB"
                took = through_the_cloud(cursor, rows)
        facts["memory at most"] = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
    service.terminate()
    show(rows, took, limit, facts)


if __name__ == "__main__":
    sys.exit(main())
