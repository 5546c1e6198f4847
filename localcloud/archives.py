"""Tar archives: packing of directories, and unpacking of untrusted archives."""

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

# Errors of the file system for a name that it cannot store, and for a name that two members have.
_NAME_ERRORS = {errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}


class ArchiveError(Exception):
    """The file is not a tar archive, is damaged, or has a member that is not allowed."""


def pack(folders: Sequence[Path], archive: Path) -> None:
    """Pack the content of ``folders`` into one ``.tar.gz`` with relative paths. For equal paths the first folder wins."""
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

    Symbolic links are created after all files and directories, so no member is written through one.
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
        raise ArchiveError(f"the name {text!r} is outside the folder")
    return name


def _target(link: tarfile.TarInfo) -> PurePosixPath:
    """The target of a symbolic link, which must be inside the folder.

    ``..`` is allowed only at the start of the target. There it goes up from real directories, not from links, so the target is
    inside the folder if the link is at least as deep as the number of ``..``.
    """
    parts = PurePosixPath(link.linkname).parts
    steps = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    depth = len(_inside(link.name).parent.parts)
    if link.linkname.startswith("/") or "\0" in link.linkname or ".." in parts[steps:] or steps > depth:
        raise ArchiveError(f"the link {link.name!r} to {link.linkname!r} points outside the folder")
    return PurePosixPath(link.linkname)


def _make_directory(folder: Path, name: PurePosixPath) -> None:
    """Create the directory ``name`` and its parents in ``folder``. Raises if one of them is a symbolic link."""
    for part in (*reversed(name.parents), name):
        if (folder / part).is_symlink():
            raise ArchiveError(f"{part.as_posix()!r} is a link, not a directory")
        (folder / part).mkdir(exist_ok=True)
