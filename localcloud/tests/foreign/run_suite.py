"""Runs a vendor's own integration tests against the local Snowflake, and prints what passed and failed by file.

    python -m localcloud.tests.foreign.run_suite snowpark CHECKOUT [FILE...]

CHECKOUT is a copy of github.com/snowflakedb/snowpark-python or snowflake-connector-python; its tests folder is enough. It prints a
table, and with ``--reasons`` the failures grouped by message. Each file runs in its own process with one of this folder's plugins,
which gives the suite its connection. A suite tests the client of its own version: PYTHONPATH may name a folder with that client
and with the packages that its tests import.
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
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from localcloud.snowflake.server import SnowflakeServer


@dataclass(frozen=True)
class Suite:
    """``folder``: of the integration tests in a checkout. ``files``: the test files that cover what this project uses."""

    folder: str
    plugin: str
    options: tuple[str, ...]
    files: str


SUITES = {
    "snowpark": Suite(
        "tests/integ",
        "snowpark_plugin",
        # The suite's own settings log everything; its tests of temporary tables read the log.
        ("--skip_sql_count_check", "-o", "log_cli_level=DEBUG"),
        """
        scala/test_column_suite scala/test_complex_dataframe_suite scala/test_dataframe_aggregate_suite
        scala/test_dataframe_join_suite scala/test_dataframe_range_suite scala/test_dataframe_suite
        scala/test_dataframe_set_operations_suite scala/test_dataframe_writer_suite scala/test_datatype_suite
        scala/test_function_suite scala/test_large_dataframe_suite scala/test_literal_suite
        scala/test_query_tag_suite scala/test_result_attributes_suite scala/test_result_schema_suite
        scala/test_session_suite scala/test_snowflake_plan_suite scala/test_sql_suite
        scala/test_table_function_suite scala/test_table_suite scala/test_update_delete_merge_suite
        scala/test_view_suite scala/test_window_frame_suite scala/test_window_spec_suite scala/test_async_job_suite
        test_bind_variable test_column test_column_names test_cte test_dataframe test_datatypes test_df_aggregate
        test_df_analytics test_df_sort test_df_to_arrow test_df_to_pandas test_function test_pandas_to_df
        test_query_history test_scoped_temp_objects test_session test_simplifier_suite test_sql_literal_escaping
        test_table_function test_temp_table_cleanup
        """,
    ),
    "connector": Suite(
        "test/integ",
        "connector_plugin",
        (),
        """
        test_arrow_result test_async test_autocommit test_bindings test_boolean test_concurrent_insert
        test_connection test_converter test_converter_more_timestamp test_converter_null test_cursor
        test_cursor_binding test_cursor_context_manager test_dataintegrity test_dbapi test_decfloat
        test_daylight_savings test_errors test_execute_multi_statements test_key_pair_authentication
        test_load_unload test_multi_statement test_numpy_binding test_pickle_timestamp_tz test_put_get
        test_put_get_user_stage test_qmark test_query_cancelling test_results test_reuse_cursor
        test_session_parameters test_snowsql_timestamp_format test_statement_parameter_binding test_transaction
        pandas_it/test_arrow_chunk_iterator pandas_it/test_arrow_pandas pandas_it/test_pandas_tools
        """,
    ),
}
_COLUMNS = ("passed", "failed", "skipped")


def main() -> None:
    arguments = _arguments()
    suite = SUITES[arguments.suite]
    total: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as environment:
        for name in arguments.files or suite.files.split():
            report = Path(folder, "report.xml")
            report.unlink(missing_ok=True)
            _run(suite, arguments.checkout, name, report, environment)
            counts = _counts(report, reasons)
            total += counts
            print(_line(name, counts), flush=True)
    print(_line("total", total))
    if arguments.reasons:
        for reason, count in reasons.most_common():
            print(f"{count:5} {reason}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run a vendor's integration tests against the local Snowflake.")
    parser.add_argument("suite", choices=SUITES, help="whose tests")
    parser.add_argument("checkout", type=Path, help="a checkout of the suite's repository")
    parser.add_argument("files", nargs="*", help="files of it, without .py; left out, a broad selection")
    parser.add_argument("--reasons", action="store_true", help="print the failures grouped by message")
    return parser.parse_args()


@contextmanager
def _server(folder: Path) -> Iterator[dict[str, str]]:
    """Run a local Snowflake; yields the environment variables for the suite's process."""
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


def _run(suite: Suite, checkout: Path, name: str, report: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pytest", f"{suite.folder}/{name}.py", "-q", "-p", suite.plugin, *suite.options]
    command += ["-o", "addopts=", "-p", "no:cacheprovider", f"--junitxml={report}"]
    given = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join([str(Path(__file__).parent), str(checkout), *([given] if given else [])])
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
    """The message of the server or the test, without parts that differ between runs."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27,}|\b\w*(?:SNOWPARK|SN)_\w+\b", "..", message.replace("\n", " "))
    found = re.search(r"\.\. *\(\w{5}\): (.*)|(\d{6} .*)", text)
    return " ".join((found[0] if found else text).split())[:150]


def _line(name: str, counts: Counter[str]) -> str:
    return f"{name:50}" + "".join(f"{counts[column]:6} {column}" for column in _COLUMNS)


if __name__ == "__main__":
    main()
