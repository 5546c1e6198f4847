"""Runs Snowpark's own integration tests against the local Snowflake, and prints what passed and failed by file.

In: a checkout of github.com/snowflakedb/snowpark-python (its ``tests`` folder is enough). Out: a table on stdout, and with
``--reasons`` the failures grouped by message. Run it as ``python -m tests.foreign.run_snowpark_suite CHECKOUT [FILE...]``.
The surprise: each file runs in a process of its own, into which this module goes as ``foreign_plugin`` as well.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from app.local.snowflake.server import SnowflakeServer

FILES = (
    *("scala/test_column_suite.py", "scala/test_complex_dataframe_suite.py", "scala/test_dataframe_aggregate_suite.py"),
    *("scala/test_dataframe_join_suite.py", "scala/test_dataframe_range_suite.py", "scala/test_dataframe_suite.py"),
    *("scala/test_dataframe_set_operations_suite.py", "scala/test_dataframe_writer_suite.py"),
    *("scala/test_datatype_suite.py", "scala/test_function_suite.py", "scala/test_large_dataframe_suite.py"),
    *("scala/test_literal_suite.py", "scala/test_query_tag_suite.py", "scala/test_result_attributes_suite.py"),
    *("scala/test_result_schema_suite.py", "scala/test_session_suite.py", "scala/test_snowflake_plan_suite.py"),
    *("scala/test_sql_suite.py", "scala/test_table_function_suite.py", "scala/test_table_suite.py"),
    *("scala/test_update_delete_merge_suite.py", "scala/test_view_suite.py", "scala/test_window_frame_suite.py"),
    *("scala/test_window_spec_suite.py", "scala/test_async_job_suite.py", "test_bind_variable.py", "test_column.py"),
    *("test_column_names.py", "test_cte.py", "test_dataframe.py", "test_datatypes.py", "test_df_aggregate.py"),
    *("test_df_analytics.py", "test_df_sort.py", "test_df_to_arrow.py", "test_df_to_pandas.py", "test_function.py"),
    *("test_pandas_to_df.py", "test_query_history.py", "test_scoped_temp_objects.py", "test_session.py"),
    *(
        "test_simplifier_suite.py",
        "test_sql_literal_escaping.py",
        "test_table_function.py",
        "test_temp_table_cleanup.py",
    ),
)
_COLUMNS = ("passed", "failed", "skipped")


def main() -> None:
    arguments = _arguments()
    names = arguments.files or [name for name in FILES if (arguments.checkout / "tests/integ" / name).exists()]
    total: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as environment:
        for name in names:
            report = Path(folder, "report.xml")
            report.unlink(missing_ok=True)
            _run(arguments.checkout, name, report, environment)
            counts = _counts(report, reasons)
            total += counts
            print(_line(name, counts), flush=True)
    print(_line("total", total))
    if arguments.reasons:
        for reason, count in reasons.most_common():
            print(f"{count:5} {reason}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run Snowpark's integration tests against the local Snowflake.")
    parser.add_argument("checkout", type=Path, help="a checkout of snowpark-python")
    parser.add_argument("files", nargs="*", help="files below tests/integ; without them a broad selection")
    parser.add_argument("--reasons", action="store_true", help="print the failures grouped by message")
    return parser.parse_args()


@contextmanager
def _server(folder: Path) -> Iterator[dict[str, str]]:
    """A local Snowflake; yields the environment by which the other process finds it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    Path(folder, "key.p8").write_bytes(private)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    server = SnowflakeServer(aws_endpoint_url="http://127.0.0.1:9", public_keys={"SERVICE": public.decode()})
    server.start()
    try:
        yield {"SNOWSAGE_KEY": str(folder / "key.p8"), "SNOWSAGE_PORT": str(server.port)}
    finally:
        server.stop()


def _run(checkout: Path, name: str, report: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pytest", f"tests/integ/{name}", "-q", "-p", "foreign_plugin"]
    command += ["-o", "addopts=", "-p", "no:cacheprovider", "--skip_sql_count_check", f"--junitxml={report}"]
    path = os.pathsep.join([str(Path(__file__).parent), str(checkout)])
    subprocess.run(
        command,
        cwd=checkout,
        env={**os.environ, **environment, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def _counts(report: Path, reasons: Counter[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    if not report.exists():
        return Counter({"failed": 1})
    for case in ElementTree.parse(report).iter("testcase"):
        failed = next((node for kind in ("failure", "error") if (node := case.find(kind)) is not None), None)
        if failed is not None:
            counts["failed"] += 1
            reasons[_reason(failed.get("message") or "")] += 1
        else:
            counts["skipped" if case.find("skipped") is not None else "passed"] += 1
    return counts


def _reason(message: str) -> str:
    """The server's or the test's own words, without what differs from run to run."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27,}|\b\w*(?:SNOWPARK|SN)_\w+\b", "..", message.replace("\n", " "))
    found = re.search(r"\.\. *\(\w{5}\): (.*)|(\d{6} .*)", text)
    return " ".join((found[0] if found else text).split())[:150]


def _line(name: str, counts: Counter[str]) -> str:
    return f"{name:50}" + "".join(f"{counts[column]:6} {column}" for column in _COLUMNS)


if __name__ == "__main__":
    main()
