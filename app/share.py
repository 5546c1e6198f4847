"""Files that travel with the program but are no code: ``infra`` and ``examples``.

In a checkout they lie beside the packages; a wheel carries them below this package.
"""

from __future__ import annotations

from pathlib import Path

from app.errors import PermanentError

_PACKAGE = Path(__file__).parent


def shared(name: str) -> Path:
    """The folder ``infra`` or ``examples``."""
    for folder in (_PACKAGE / "_share" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise PermanentError(f"the folder {name} is missing from this installation; install snowsage again")
