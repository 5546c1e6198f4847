"""Untrusted archives: which members are extracted, which are rejected, and that nothing is written outside the folder."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from localcloud.archives import ArchiveError, pack, unpack

FILE, DIRECTORY, SYMBOLIC, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
Member = tuple[str, bytes, str]


def archive_of(tmp_path: Path, *members: Member) -> Path:
    """A ``.tar.gz`` of members (name, type, link target); files contain ``evil``."""
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, kind, target in members:
            item = tarfile.TarInfo(name)
            item.type, item.linkname, item.mode = kind, target, 0o7777
            item.pax_headers = {"path": name}  # a tar header ends a name at its first zero byte
            item.size = 4 if kind == FILE else 0
            tar.addfile(item, io.BytesIO(b"evil"))
    return path


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([("../x", FILE, "")], id="parent"),
        pytest.param([("a/../../x", FILE, "")], id="parent inside"),
        pytest.param([("/x", FILE, "")], id="absolute"),
        pytest.param([("../d", DIRECTORY, "")], id="directory of the parent"),
        pytest.param([("a\0b", FILE, "")], id="zero byte"),
        pytest.param([("x" * 300, FILE, "")], id="too long a name"),
        pytest.param([("device", tarfile.CHRTYPE, "")], id="character device"),
        pytest.param([("device", tarfile.BLKTYPE, "")], id="block device"),
        pytest.param([("pipe", tarfile.FIFOTYPE, "")], id="pipe"),
        pytest.param([("l", SYMBOLIC, "/etc/passwd")], id="absolute link"),
        pytest.param([("l", SYMBOLIC, "..")], id="link to the parent"),
        pytest.param([("a/l", SYMBOLIC, "../../x")], id="link out of a directory"),
        pytest.param([("a/l", SYMBOLIC, "./../../x")], id="link out of a directory, with a dot"),
        pytest.param([("../l", SYMBOLIC, "x")], id="link in the parent"),
        pytest.param([("a/b/l", SYMBOLIC, "../.."), ("m", SYMBOLIC, "a/b/l/../x")], id="link that climbs another"),
        pytest.param([("a/b/l", SYMBOLIC, "../.."), ("a/b/l/m", SYMBOLIC, "../../..")], id="link inside another"),
        pytest.param([("a", DIRECTORY, ""), ("l", SYMBOLIC, "a"), ("l/x", FILE, "")], id="file below a link's name"),
        pytest.param([("l", SYMBOLIC, "a"), ("l", FILE, "")], id="file and link of one name"),
        pytest.param([(".", SYMBOLIC, "a")], id="link in place of the folder"),
        pytest.param([(".", FILE, "")], id="file in place of the folder"),
        pytest.param([("l", HARD, "../outside")], id="hard link to the parent"),
        pytest.param([("l", HARD, "/outside")], id="absolute hard link"),
        pytest.param([("l", HARD, "later"), ("later", FILE, "")], id="hard link to a later member"),
        pytest.param([("s", SYMBOLIC, "s"), ("l", HARD, "s")], id="hard link to a symbolic link"),
        pytest.param([("a", FILE, ""), ("a/b", FILE, "")], id="file below a file"),
        pytest.param([("a/b", FILE, ""), ("a", FILE, "")], id="file in place of a directory"),
    ],
)
def test_a_member_outside_the_folder_is_rejected(tmp_path: Path, members: list[Member]) -> None:
    (tmp_path / "outside").write_text("kept")
    folder = tmp_path / "deep/folder"
    with pytest.raises(ArchiveError):
        unpack(archive_of(tmp_path, *members), folder)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if folder not in path.parents}
    assert found == {"a.tar.gz", "deep", "deep/folder", "outside"}
    assert (tmp_path / "outside").read_text() == "kept"
    assert all(path.resolve().is_relative_to(folder) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "cut", [lambda body: b"no archive", lambda body: body[:40], lambda body: body[:20] + b"\xff" * 60]
)
def test_a_damaged_archive_is_rejected(tmp_path: Path, cut: object) -> None:
    assert callable(cut)
    archive = archive_of(tmp_path, ("a", FILE, ""))
    archive.write_bytes(cut(archive.read_bytes()))
    with pytest.raises(ArchiveError):
        unpack(archive, tmp_path / "folder")


def test_files_directories_and_internal_links_are_extracted(tmp_path: Path) -> None:
    archive = archive_of(
        tmp_path,
        ("./", DIRECTORY, ""),
        ("a/b/file", FILE, ""),
        ("a/b/up", SYMBOLIC, "../../top"),
        ("hard", HARD, "a/b/file"),
        ("top", FILE, ""),
        ("top", FILE, ""),
        ("link", SYMBOLIC, "a/b/up"),
        ("empty", DIRECTORY, ""),
    )
    folder = tmp_path / "folder"
    unpack(archive, folder)
    assert {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    } == dict.fromkeys(("a/b/file", "a/b/up", "hard", "top", "link"), "evil")
    assert (folder / "empty").is_dir()
    assert (folder / "top").stat().st_mode & 0o7777 == 0o755


def test_a_packed_archive_can_be_extracted(tmp_path: Path) -> None:
    for folder, name in (("one", "both"), ("two", "both"), ("two", "deep/only")):
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(folder)
    (tmp_path / "one/link").symlink_to("both")
    pack([tmp_path / "one", tmp_path / "two"], tmp_path / "a.tar.gz")
    unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    found = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_text()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found == {"both": "one", "deep/only": "two", "link": "one"}
