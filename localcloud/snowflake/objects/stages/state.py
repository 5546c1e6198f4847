"""Stages and file formats as schema objects, and the folders of internal stages."""

from __future__ import annotations

import shutil
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from localcloud.snowflake.objects.stages import syntax as ast
from localcloud.snowflake.objects.stages.storage import Folder
from localcloud.snowflake.objects.store import SchemaObject, Store
from localcloud.snowflake.sessions.state import State


@dataclass(eq=False, kw_only=True)
class Stage(SchemaObject):
    """``folder`` holds the files of an internal stage."""

    definition: ast.CreateStage
    folder: Folder | None


@dataclass(eq=False, kw_only=True)
class NamedFileFormat(SchemaObject):
    format: ast.FileFormat


class StageState(State):
    """Stages, file formats and the folders of internal stages. User and table stages are not schema objects: their folders are
    created at the first reference."""

    def __init__(self, folder: FilePath, stages: Store[Stage], formats: Store[NamedFileFormat]) -> None:
        self.folder = folder
        self.stages = stages
        self.formats = formats
        self._implied: dict[tuple[str, ...], Folder] = {}
        self._lock = threading.Lock()

    def new_folder(self) -> Folder:
        path = self.folder / uuid.uuid4().hex
        path.mkdir()
        return Folder(path)

    def implied(self, *owner: str) -> Folder:
        """The folder of a user stage or table stage."""
        with self._lock:
            if owner not in self._implied:
                self._implied[owner] = self.new_folder()
            return self._implied[owner]

    def saved(self, folder: FilePath) -> Any:
        folders: list[tuple[str, tuple[str, ...], Folder | None]] = [
            ("named", stage.path, stage.folder) for stage in self.stages.all() if stage.session_id is None
        ]
        folders += [("implied", owner, implied) for owner, implied in self._implied.items()]
        kept = []
        for number, (kind, owner, source) in enumerate(folders):
            if source is not None and any(source.path.iterdir()):
                shutil.copytree(source.path, folder / "stages" / str(number))
                kept.append([kind, list(owner), number, source.path.name])
        return kept

    def restore(self, saved: Any, folder: FilePath) -> None:
        for kind, owner, number, name in saved:
            if kind == "implied":
                target: Folder | None = self.implied(*owner)
            else:
                stage = self.stages.at((owner[0], owner[1], owner[2]))
                target = stage.folder if stage else None
            if target is not None:
                # The load history names files by their folder.
                target.path = target.path.rename(self.folder / name)
                shutil.copytree(folder / "stages" / str(number), target.path, dirs_exist_ok=True)

    def discard(self, folder: Folder | None) -> None:
        if folder is not None:
            shutil.rmtree(folder.path, ignore_errors=True)
