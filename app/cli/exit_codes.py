"""Runs a command and turns its errors into a sentence on standard error and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import typer
from typer.core import TyperGroup

from app import log, settings
from app.cli.machine import machine_fault
from app.errors import CallerError, PermanentError, SnowsageError, TransientError

#: The exit code of each kind of error; 75 is EX_TEMPFAIL of sysexits.h.
_CODES: Mapping[type[SnowsageError], int] = {CallerError: 2, TransientError: 75, PermanentError: 1}


def exit_code(error: SnowsageError) -> int:
    """2 for a mistake of the caller, 75 for an error that may pass, 1 for the rest."""
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), 1)


def error_kind(code: int) -> type[SnowsageError]:
    """The kind of error with which a command ended."""
    return next((kind for kind, known in _CODES.items() if known == code), PermanentError)


class Commands(TyperGroup):
    """The command line's commands. Typer alone would turn Ctrl-C into an exit code without a word."""

    def invoke(self, ctx: Any) -> Any:  # typer does not export click's types
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise _Stopped(str(stop)) from stop


class _Stopped(Exception):
    """Ctrl-C. ``str(error)``: what goes on, if anything."""


def guarded(command: Callable[[], Any]) -> int:
    """The exit code of ``command``. Only an unexpected exception shows a traceback."""
    try:
        chosen = settings.read(settings.LogSettings)
        log.configure(chosen.log_level or "warning", chosen.log_format or "text")
        for warning in settings.warnings_for(dict(os.environ)):
            print(f"warning: {warning}", file=sys.stderr)  # noqa: T201
        code = command()
        return code if isinstance(code, int) else 0
    except SnowsageError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return exit_code(error)
    except typer.Exit as left:
        return left.exit_code
    except (_Stopped, KeyboardInterrupt, typer.Abort) as stop:
        print(f"stopped; {stop}" if str(stop) else "stopped", file=sys.stderr)  # noqa: T201
        return 130
    except Exception as error:
        if _is_usage_error(error):
            error.show()  # type: ignore[attr-defined]
            return 2
        if package := _missing_package(error):
            print(f"error: {package} is not installed; install it with: pip install 'snowsage[jobs]'", file=sys.stderr)  # noqa: T201
            return 2
        if (found := machine_fault(error)) is not None:
            print(f"error: {found}", file=sys.stderr)  # noqa: T201
            return exit_code(found)
        traceback.print_exc()
        print("error: this is a fault of snowsage; please report it with the lines above", file=sys.stderr)  # noqa: T201
        return 1


def _missing_package(error: Exception) -> str:
    """The package of an extra that this installation lacks; empty for any other error."""
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return "" if package in ("app", "sagemaker_entry") else package


def _is_usage_error(error: Exception) -> bool:
    """Whether the command line is wrong. Checked by attributes, since typer has its own copy of click's error classes."""
    return hasattr(error, "show") and hasattr(error, "format_message")
