"""The command line without a cloud: help without heavy imports, and errors without tracebacks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from app.cli.exit_codes import error_kind, exit_code
from app.errors import GateRefused, NotFound, Overloaded, PermanentError, SnowsageError, TransientError
from tests.support.commands import ROOT, run_command

_HELP = """
import sys
from app.__main__ import cli
try:
    cli(["--help"], standalone_mode=False)
finally:
    print("LOADED", *sorted(sys.modules), file=sys.stderr)
"""


def environment() -> dict[str, str]:
    """This process's environment without the settings of both clouds."""
    settings = ("SNOWSAGE_", "SNOWFLAKE_", "AWS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(settings)}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=600, check=False
    )


def snowsage(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command(environment(), *arguments)


def test_help_is_shown_without_heavy_imports() -> None:
    done = python("-c", _HELP)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.partition("LOADED")[2].split())
    assert "app.__main__" in loaded
    heavy = {
        "snowflake.connector",
        "snowflake.snowpark",
        "sagemaker",
        "boto3",
        "botocore",
        "pandas",
        "numpy",
        "xgboost",
        "fastapi",
        "duckdb",
        "moto",
        "fakesnow",
    }
    assert loaded & heavy == set()


def test_help_names_every_command() -> None:
    done = python("-m", "app", "--help")
    assert done.returncode == 0
    for command in (
        "demo",
        "local",
        "run",
        "features",
        "erase",
        "export",
        "train",
        "deploy",
        "batch",
        "monitor",
        "runs",
        "routines",
        "serve",
        "versions",
        "promote",
        "rollback",
        "sql",
        "infra",
        "init",
        "validate",
    ):
        assert f" {command} " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "no/such/folder"), "error: no/such/folder has no pipeline.yaml"),
        (("features", "no/such/folder"), "error: no/such/folder has no pipeline.yaml"),
        (("versions", "no/such/folder"), "error: no/such/folder has no pipeline.yaml"),
        (
            ("run", "examples/churn", "--to", "trian"),
            "error: there is no stage trian; the stages are features, export,",
        ),
        (("run", "examples/churn", "--from", "x"), "error: there is no stage x"),
        (("run", "examples/churn"), "error: SNOWSAGE_BUCKET is not set."),
        (("run",), "Missing argument"),
        (("promote", "examples/churn"), "Missing argument"),
        (("promote", "no/such/folder", "1.1"), "error: no/such/folder has no pipeline.yaml"),
        (("promote", "examples/churn", "1.1"), "error: SNOWSAGE_BUCKET is not set."),
        (("promote", "examples/churn", "1.1", "--share", "110%"), "error: --share must be between 0 and 1"),
        (("promote", "examples/churn", "1.1", "--share", "ten"), "write 10% or 0.1"),
        (("routines", "no/such/folder"), "error: no/such/folder has no pipeline.yaml"),
        (("runs", "no/such/folder"), "error: no/such/folder has no pipeline.yaml"),
        (("runs", "examples/churn"), "error: SNOWSAGE_BUCKET is not set"),
        (("runs", "examples/churn", "--unlock"), "error: SNOWSAGE_BUCKET is not set"),
        (("init", "Churn", "--table", "RAW.T", "--label", "L"), "error: 'Churn' is not a pipeline's name"),
        (("init", "churn", "--table", "RAW.T"), "Missing option '--label'"),
        (("init", "churn", "--table", "a b", "--label", "L"), "error: 'a b' is not a name in Snowflake"),
        (("init", "examples", "--table", "RAW.T", "--label", "L"), "error: examples exists already"),
        (("validate", "no/such/folder"), "error: no/such/folder has no pipeline.yaml"),
        (("rollback", "no/such/folder"), "error: no/such/folder has no pipeline.yaml"),
        (("trian", "examples/churn"), "No such command"),
        (("run", "examples/churn", "--date", "1998-13-01"), "Invalid value for '--date'"),
    ],
)
def test_a_caller_error_is_one_sentence_and_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    done = snowsage(*arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("local", "env", "--state", "no/such/folder"), "error: no local cloud is running in no/such/folder"),
        (
            ("local", "faults", "list", "--state", "no/such/folder"),
            "error: no local cloud is running in no/such/folder",
        ),
        (("local", "faults", "add", "s3:PutObject", "melt"), "'melt' is not one of"),
        (("local", "up", "--state", "tests"), "error: "),
    ],
)
def test_an_error_of_the_local_cloud_is_one_sentence_and_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    done = snowsage(*arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


_WITHOUT = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "localcloud":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
sys.argv[0] = "snowsage"
from app.__main__ import main
main()
"""


@pytest.mark.parametrize("arguments", [("demo",), ("local", "up"), ("local", "env"), ("local", "faults", "list")])
def test_without_the_local_cloud_its_commands_name_the_extra(arguments: tuple[str, ...]) -> None:
    done = python("-c", _WITHOUT, *arguments)
    assert done.returncode == 2, done.stderr
    assert "error: localcloud is not installed" in done.stderr
    assert "pip install 'snowsage[local]'" in done.stderr


def test_help_works_without_the_local_cloud() -> None:
    done = python("-c", _WITHOUT, "--help")
    assert done.returncode == 0, done.stderr
    assert " local " in done.stdout


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("x"), 2),
        (GateRefused("x"), 2),
        (TransientError("x"), 75),
        (Overloaded("x"), 75),
        (PermanentError("x"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: SnowsageError, code: int) -> None:
    assert exit_code(error) == code
    assert isinstance(error, error_kind(code))


def test_features_needs_a_pipeline_or_looks_into_the_store() -> None:
    done = snowsage("features")
    assert done.returncode == 2
    assert "name the folder of a pipeline" in done.stderr
    done = snowsage("features", "examples/churn", "--list")
    assert done.returncode == 2
    assert "leave examples/churn out" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell: str) -> None:
    asked = {
        **environment(), "_SNOWSAGE_COMPLETE": f"complete_{shell}", "COMP_WORDS": "snowsage ru", "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "snowsage ru", "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }  # fmt: skip
    done = run_command(asked)
    assert done.returncode == 0, done.stderr
    assert "run" in done.stdout
    assert "sql" not in done.stdout
