"""Tar archives from outside, unpacked without trusting their names."""

from __future__ import annotations

import errno
import gzip
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

# What the file system says of a name that it cannot hold, or of a name that is both a file and a directory.
_NAME_ERRORS = {errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}


class ArchiveError(Exception):
    """The file is not a tar archive, is damaged, or has a member that may not be unpacked."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack ``archive`` (tar, compressed or not) into ``folder``, which must not exist yet.

    Only regular files and directories with relative names below ``folder`` are accepted: a model artefact has no links, and
    without links no name can lead out of the folder. The first member that is anything else raises :class:`ArchiveError`.
    (``tarfile``'s own ``data`` filter is missing from Python 3.11.0 to 3.11.3, which Debian 12 ships.)
    """
    folder.mkdir()
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                _write(tar, member, folder)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ArchiveError(str(error)) from error
    except OSError as error:
        if error.errno not in _NAME_ERRORS:
            raise
        raise ArchiveError(f"{error.strerror}: {error.filename}") from error


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\0" in member.name:
        raise ArchiveError(f"the name {member.name!r} leads out of the folder")
    path = folder / name
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    body = tar.extractfile(member) if member.isreg() else None
    if body is None:
        raise ArchiveError(f"{member.name!r} is neither a file nor a directory")
    path.parent.mkdir(parents=True, exist_ok=True)
    with body, path.open("wb") as file:
        shutil.copyfileobj(body, file)
