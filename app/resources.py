"""Files of the distribution that are not code: ``infra`` and ``examples``.

In a checkout they are next to the packages. A wheel has them in a folder of its own, since a folder with the package's name
would shadow an editable install.
"""

from __future__ import annotations

from pathlib import Path

from app.errors import PermanentError

_ROOT = Path(__file__).parent.parent


def shared(name: str) -> Path:
    """The folder ``infra`` or ``examples``."""
    for folder in (_ROOT / name, _ROOT / "snowsage_resources" / name):
        if folder.is_dir():
            return folder
    raise PermanentError(f"the folder {name} is missing from this installation; install snowsage again")
