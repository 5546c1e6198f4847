"""Asks before something is removed that cannot be restored."""

from __future__ import annotations

import sys

import typer

from app.errors import CallerError


def confirm(what: str, *, yes: bool) -> None:
    """Return if the user agrees, or has written ``--yes``. Raises CallerError if standard input is no terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CallerError(f"{what}. This cannot be undone; write --yes to do it without being asked")
    typer.confirm(f"{what}. This cannot be undone. Continue?", abort=True, err=True)
