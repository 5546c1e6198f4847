"""The ownership rule: every object that a pipeline makes names that pipeline, and no pipeline replaces another one's object.

Objects in Snowflake name their owner in the comment (:func:`comment`), resources of AWS in the tag :data:`TAG`, and a pipeline's
folder on S3 in the object ``owner.json``. A plan reads the owners of everything that it would replace and calls :func:`claim` for
each. An object without an owner was made before this rule, or by someone else; its form tells which.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import takewhile

from app.errors import CallerError, NotFound
from app.ports import ObjectStore, Table, Warehouse
from app.sql import Name, Statement, identifier, literal

#: The tag of AWS resources that names the pipeline.
TAG = "snowsage:pipeline"
#: The tag that names the pipeline's bucket: an account may hold pipelines of several, each with names of its own.
BUCKET_TAG = "snowsage:bucket"

_COMMENT = re.compile(r"snowsage: pipeline ([a-z][a-z0-9-]*)(?:;|$)")
#: The comment of SQL functions made before all objects named their owner.
_OLD_COMMENT = re.compile(r"snowsage: scores of model ([a-z][a-z0-9-]*); contract [0-9a-f]+$")

#: SHOW lists at most this many rows.
_SHOWN = 10_000

#: The folders of a pipeline: its runs, its version numbers, and what the service writes.
_OUR_FOLDER = re.compile(r"\d{8}-[0-9a-f]{8}|versions|serve")


@dataclass(frozen=True)
class Existing:
    """An object that exists. ``what``: for messages, such as ``table ANALYTICS.SCORES``. ``owner``: None if it names none.

    ``ours``: it has the form of an object that snowsage makes, so one without an owner may be adopted.
    """

    what: str
    owner: str | None
    ours: bool = False


@dataclass(frozen=True)
class SchemaObject:
    """A table or view as SHOW OBJECTS lists it."""

    kind: str
    comment: str

    def existing(self, name: Name, *, ours: bool = False) -> Existing:
        """The object for :func:`claim`."""
        return Existing(f"{'view' if self.kind == 'VIEW' else 'table'} {name}", owner_of(self.comment), ours)


def comment(pipeline: str, text: str) -> str:
    """The comment of an object: its owner, and what it is."""
    return f"snowsage: pipeline {pipeline}; {text}"


def owner_of(text: str) -> str | None:
    """The pipeline that a comment names; None if it names none."""
    found = _COMMENT.match(text) or _OLD_COMMENT.match(text)
    return found[1] if found else None


def claim(pipeline: str, found: Existing | None, instead: str) -> bool:
    """Whether the object exists without an owner and is adopted: the run then writes the pipeline's name into its comment.

    ``instead``: what to change in the pipeline file. Raises CallerError for an object of another pipeline, or of someone else.
    """
    if found is None or found.owner == pipeline:
        return False
    if found.owner is not None:
        raise CallerError(
            f"{found.what} belongs to pipeline {found.owner}, and pipeline {pipeline} would replace it; {instead}, or remove "
            f"{found.what} first if {found.owner} no longer needs it"
        )
    if not found.ours:
        raise CallerError(
            f"{found.what} exists and no pipeline made it, so pipeline {pipeline} does not replace it; {instead}, or remove it "
            "first"
        )
    return True


def find_objects(warehouse: Warehouse, names: Iterable[Name]) -> dict[Name, SchemaObject]:
    """The tables and views among ``names`` that exist. One statement for each schema."""
    found: dict[Name, SchemaObject] = {}
    schemas: dict[tuple[str, ...], list[Name]] = {}
    for name in names:
        schemas.setdefault(name.parts[:-1], []).append(name)
    for wanted in schemas.values():
        listed = _listed(warehouse, wanted)
        found |= {name: listed[name.last] for name in wanted if name.last in listed}
    return found


def set_comment(kind: str, name: Name, text: str) -> Statement:
    """Write the comment of an existing object. ``kind``: TABLE or VIEW."""
    return Statement(f"COMMENT ON {kind} {name.sql} IS {literal(text)}")


def _listed(warehouse: Warehouse, names: list[Name]) -> dict[str, SchemaObject]:
    pattern = names[0].last if len(names) == 1 else f"{_common_start([name.last for name in names])}%"
    answer = _shown(warehouse, pattern, names[0])
    if len(answer.rows) >= _SHOWN and len(names) > 1:
        return {last: each for name in names for last, each in _listed(warehouse, [name]).items()}
    at = {column: answer.columns.index(column) for column in ("name", "kind", "comment") if answer.rows}
    return {
        str(row[at["name"]]): SchemaObject(str(row[at["kind"]]), str(row[at["comment"]] or "")) for row in answer.rows
    }


def _common_start(texts: list[str]) -> str:
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))
    return "".join(letters[0] for letters in same)


def _shown(warehouse: Warehouse, pattern: str, name: Name) -> Table:
    schema = ".".join(identifier(part) for part in name.parts[:-1])
    scope = f" IN SCHEMA {schema}" if schema else ""
    try:
        return warehouse.run(Statement(f"SHOW OBJECTS LIKE {literal(pattern)}{scope}"))
    except NotFound:
        return Table((), [])  # the schema does not exist; the statement that needs it says so


def claim_endpoint(endpoint: str, tags: Mapping[str, str] | None, bucket: str) -> None:
    """Raise CallerError for an endpoint of another pipeline or of someone else. ``tags``: None if it does not exist."""
    if tags is None:
        return
    what, instead = f"endpoint {endpoint}", "give the pipeline another name"
    claim(endpoint, Existing(what, tags.get(TAG)), instead)
    if tags.get(BUCKET_TAG, bucket) != bucket:
        raise CallerError(
            f"{what} belongs to pipeline {endpoint} of bucket {tags[BUCKET_TAG]}, and this run uses {bucket}; {instead}, or set "
            "SNOWSAGE_BUCKET"
        )


@dataclass(frozen=True)
class Home:
    """Where a pipeline lives: its name, and the account and database that hold its registry."""

    pipeline: str
    account: str
    database: str

    @property
    def place(self) -> str:
        return f"account {self.account}, database {self.database}"


def read_home(warehouse: Warehouse, pipeline: str) -> Home:
    """The home of ``pipeline`` in the session's account and database."""
    account, database = warehouse.run(Statement("SELECT CURRENT_ACCOUNT(), CURRENT_DATABASE()")).rows[0]
    return Home(pipeline, str(account), str(database))


def owner_uri(bucket: str, pipeline: str) -> str:
    """The object that names the owner of the pipeline's folder."""
    return f"s3://{bucket}/{pipeline}/owner.json"


def claim_folder(store: ObjectStore, bucket: str, home: Home) -> bool:
    """Whether the pipeline's folder on S3 has no owner yet; :func:`mark_folder` then writes it.

    Raises CallerError for a folder of a pipeline with the same name in another account or database, and for one that holds
    something else.
    """
    uri = owner_uri(bucket, home.pipeline)
    folder = uri.removesuffix("owner.json")
    try:
        found = json.loads(store.read(uri))
        owner = Home(str(found["pipeline"]), str(found["account"]), str(found["database"]))
    except NotFound:
        folders = store.folders(folder)
        if folders and not any(_OUR_FOLDER.fullmatch(name) for name in folders):
            raise CallerError(
                f"{folder} holds objects that no pipeline wrote; give the pipeline another name or set SNOWSAGE_BUCKET to another "
                "bucket, or move them away"
            ) from None
        return True
    except (ValueError, KeyError, TypeError) as error:
        raise CallerError(f"{uri} is damaged; delete it, and the next run writes it again") from error
    if owner != home:
        raise CallerError(
            f"{folder} belongs to pipeline {owner.pipeline} in {owner.place}, and this run is in {home.place}; give the pipeline "
            f"another name or set SNOWSAGE_BUCKET to another bucket. If it moved here, delete {uri}"
        )
    return False


def mark_folder(store: ObjectStore, bucket: str, home: Home) -> None:
    """Write the owner of the pipeline's folder. Of two pipelines that claim it at the same time, one gets it."""
    if not store.create(owner_uri(bucket, home.pipeline), json.dumps(asdict(home)).encode(), {}):
        claim_folder(store, bucket, home)
