"""Faults of the user's own machine: a sentence and an exit code, wherever they happen."""

from __future__ import annotations

import errno
import shutil

import pytest
import typer

from app.cli.exit_codes import Commands, guarded
from app.cli.machine import machine_fault
from app.errors import CallerError, Interrupted, PermanentError, TransientError


def copying_failed() -> shutil.Error:
    """As ``shutil.copytree`` reports what went wrong with each file."""
    return shutil.Error([("a", "b", str(OSError(errno.ENOSPC, "No space left on device")))])


def caused(cause: Exception) -> Exception:
    error = RuntimeError("a library's own error")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left", "/tmp/x"),
            75,
            "error: the disk is full (/tmp/x): No space left on device",
        ),
        (OSError(errno.EDQUOT, "Quota"), 75, "error: the disk is full: "),
        (OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28]"), 75, "error: the disk is full: "),
        (copying_failed(), 75, "set TMPDIR to a folder on another disk"),
        (caused(OSError(errno.ENOSPC, "No space left")), 75, "error: the disk is full: "),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
            75,
            "error: no folder for temporary files can be written",
        ),
        (
            PermissionError(errno.EACCES, "denied", "/tmp/x"),
            2,
            "error: this machine refuses (/tmp/x): Permission denied",
        ),
        (OSError(errno.EROFS, "read only", "/tmp/x"), 2, "error: this machine refuses (/tmp/x): Read-only file system"),
        (OSError(errno.EMFILE, "too many"), 75, "error: this machine refuses: Too many open files"),
        (MemoryError(), 75, "error: this machine has no memory left"),
    ],
)
def test_a_fault_of_the_machine_is_a_sentence(
    error: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise error

    assert guarded(command) == code
    printed = capsys.readouterr().err
    assert said in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        FileNotFoundError(errno.ENOENT, "no such file", "x"),
        ConnectionRefusedError(errno.ECONNREFUSED, "x"),
        shutil.Error("x"),
    ],
)
def test_other_errors_are_faults_of_the_program(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert machine_fault(error) is None

    def command() -> None:
        raise error

    assert guarded(command) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [CallerError, TransientError, PermanentError])
def test_an_error_with_a_text_of_its_own_keeps_it(kind: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise kind("its own text") from OSError(errno.ENOSPC, "x")

    guarded(command)
    assert capsys.readouterr().err == "error: its own text\n"


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        (KeyboardInterrupt(), "stopped\n"),
        (Interrupted("training job x goes on in SageMaker"), "stopped; training job x goes on in SageMaker\n"),
    ],
)
def test_ctrl_c_is_said_and_has_its_exit_code(
    stop: BaseException, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program = typer.Typer(cls=Commands)
    nested = typer.Typer()

    @program.command()
    def first() -> None:
        raise stop

    @nested.command()
    def second() -> None:
        raise stop

    @nested.command()
    def third() -> None: ...

    program.add_typer(nested, name="group")
    for arguments in (["first"], ["group", "second"]):
        assert guarded(lambda: program(arguments, standalone_mode=False)) == 130  # noqa: B023
        assert capsys.readouterr().err == said
