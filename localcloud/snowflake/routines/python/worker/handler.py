"""Loading of a handler, and error texts as Snowflake shows them.

Tracebacks show imported files by path and inline code as ``_udf_code.py``.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from localcloud.snowflake.routines.python.worker import telemetry

_CODE = "_udf_code"
_OWN = str(Path(__file__).parent)


def provide_snowflake(directory: str) -> None:
    """Provide ``_snowflake``, ``snowflake.telemetry`` and the import directory in the places where handlers look for them."""
    module = ModuleType("_snowflake")
    module.vectorized = _vectorized  # type: ignore[attr-defined]
    sys.modules["_snowflake"] = module
    telemetry.provide()
    folder = directory.rstrip("/") + "/"
    sys._xoptions["snowflake_import_directory"] = folder
    archives = [str(path) for path in sorted(Path(directory).rglob("*")) if path.suffix in (".zip", ".whl")]
    sys.path[:0] = [folder.rstrip("/"), *archives]


def _vectorized(*, input: Any, max_batch_size: int | None = None, **_other: Any) -> Callable[..., Any]:
    def mark(handler: Any) -> Any:
        handler._sf_vectorized_input = input
        if max_batch_size is not None:
            handler._sf_max_batch_size = max_batch_size
        return handler

    return mark


def load(handler: str, code: str | None) -> Any:
    """The object named by ``handler``, from the inline code or a module among the imports."""
    if code is None:
        module_name, _, rest = handler.partition(".")
        found: Any = importlib.import_module(module_name)
    else:
        found, rest = ModuleType(_CODE), handler
        sys.modules[_CODE] = found
        exec(compile(code, f"{_CODE}.py", "exec"), found.__dict__)  # noqa: S102 - the handler's code is what runs here
    for name in rest.split("."):
        if not hasattr(found, name):
            raise AttributeError(f"Could not find handler {handler}")
        found = getattr(found, name)
    return found


def explained(error: BaseException) -> str:
    """The traceback without the frames of the worker itself."""
    report = traceback.TracebackException.from_exception(error)
    for part in _chain(report):
        part.stack = traceback.StackSummary.from_list(
            [
                traceback.FrameSummary(frame.filename, frame.lineno, frame.name, lookup_line=False, line="")
                for frame in part.stack
                if not frame.filename.startswith((_OWN, "<frozen importlib"))
            ]
        )
    if not report.stack:
        return "".join(report.format_exception_only()).rstrip()
    return "".join(report.format()).rstrip()


def _chain(report: traceback.TracebackException) -> list[traceback.TracebackException]:
    found: list[traceback.TracebackException] = []
    waiting = [report]
    while waiting:
        part = waiting.pop()
        found.append(part)
        waiting += [other for other in (part.__cause__, part.__context__) if other is not None]
    return found
