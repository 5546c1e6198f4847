"""Tar archives: a directory packed, and one from outside unpacked without trusting its names."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

# What the file system says of a name that it cannot hold, or of one that two members claim.
_NAME_ERRORS = {errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}


class ArchiveError(Exception):
    """The file is not a tar archive, is damaged, or has a member that may not be unpacked."""


def pack(folders: Sequence[Path], archive: Path) -> None:
    """Everything below ``folders`` as one ``.tar.gz``, named relative to its folder; the first folder wins a shared name."""
    names: set[str] = set()
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                name = path.relative_to(folder).as_posix()
                if name not in names:
                    tar.add(path, arcname=name, recursive=False)
                    names.add(name)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack ``archive`` (tar, compressed or not) into ``folder``, which is created if it is missing.

    Accepted are files, directories and links that stay below ``folder``; absolute names, ``..``, devices, pipes and other
    links raise :class:`ArchiveError`. Files lose owner and special bits and keep only the owner's right to execute.
    ``tarfile``'s own ``data`` filter does the same but is missing from Python 3.11.0 to 3.11.3, which Debian 12 ships.

    No member is written through a symbolic link: links are made last, when every file and directory is in its place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            links = [member for member in tar if not _write(tar, member, folder)]
        for link in links:
            name = _inside(link.name)
            _make_directory(folder, name.parent)
            (folder / name).symlink_to(_target(link))
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ArchiveError(str(error)) from error
    except OSError as error:
        if error.errno not in _NAME_ERRORS:
            raise
        raise ArchiveError(f"{error.strerror}: {error.filename2 or error.filename}") from error


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> bool:
    """Write one member; False for a symbolic link, which is only checked."""
    name = _inside(member.name)
    path = folder / name
    if member.issym():
        _target(member)
        return False
    if member.isdir():
        _make_directory(folder, name)
        return True
    _make_directory(folder, name.parent)
    if member.islnk():
        source = folder / _inside(member.linkname)
        if not source.is_file():
            raise ArchiveError(f"{member.name!r} is a hard link to {member.linkname!r}, which does not precede it")
        path.unlink(missing_ok=True)
        os.link(source, path)
        return True
    body = tar.extractfile(member) if member.isreg() else None
    if body is None:
        raise ArchiveError(f"{member.name!r} is neither a file, a directory nor a link")
    path.unlink(missing_ok=True)
    with body, path.open("xb") as file:
        shutil.copyfileobj(body, file)
    path.chmod(0o755 if member.mode & stat.S_IXUSR else 0o644)
    return True


def _inside(text: str) -> PurePosixPath:
    """A member's name, relative and without ``..``."""
    name = PurePosixPath(text)
    if name.is_absolute() or ".." in name.parts or "\0" in text:
        raise ArchiveError(f"the name {text!r} leads out of the folder")
    return name


def _target(link: tarfile.TarInfo) -> PurePosixPath:
    """Where a symbolic link points, if that is below the folder.

    ``..`` may only lead the target: there it climbs directories, never links, so that counting its steps is exact. What
    follows goes down, through links of the same kind at most.
    """
    parts = PurePosixPath(link.linkname).parts
    steps = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    depth = len(_inside(link.name).parent.parts)
    if link.linkname.startswith("/") or "\0" in link.linkname or ".." in parts[steps:] or steps > depth:
        raise ArchiveError(f"the link {link.name!r} to {link.linkname!r} leads out of the folder")
    return PurePosixPath(link.linkname)


def _make_directory(folder: Path, name: PurePosixPath) -> None:
    """Make ``name`` and what is above it in ``folder`` as directories; a symbolic link in their place is refused."""
    for part in (*reversed(name.parents), name):
        if (folder / part).is_symlink():
            raise ArchiveError(f"{part.as_posix()!r} is a link, not a directory")
        (folder / part).mkdir(exist_ok=True)
