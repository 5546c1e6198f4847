"""The statements of the project's own grammar, as frozen values.

Out of ``grammar.parse_statement``, into the handlers in ``statements``. Names are as Snowflake stores them: upper case
unless they were quoted. ``None`` means that the statement did not say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Name:
    """An object's name with the database and schema that were written before it."""

    name: str
    schema: str | None = None
    database: str | None = None

    def __str__(self) -> str:
        return ".".join(part for part in (self.database, self.schema, self.name) if part is not None)


@dataclass(frozen=True)
class Statement:
    """Any statement of the grammar."""


@dataclass(frozen=True)
class Creation(Statement):
    """What every CREATE has: at most one of the two flags is set."""

    name: Name
    or_replace: bool = False
    if_not_exists: bool = False
    comment: str | None = None


@dataclass(frozen=True)
class CreateRole(Creation):
    pass


@dataclass(frozen=True)
class CreateWarehouse(Creation):
    options: tuple[tuple[str, str | int | bool], ...] = ()


@dataclass(frozen=True)
class AlterWarehouse(Statement):
    name: Name
    action: Literal["SET", "SUSPEND", "RESUME"]
    if_exists: bool = False
    options: tuple[tuple[str, str | int | bool], ...] = ()


@dataclass(frozen=True)
class CreateStorageIntegration(Creation):
    role_arn: str = ""
    external_id: str | None = None
    enabled: bool = True
    allowed_locations: tuple[str, ...] = ()
    blocked_locations: tuple[str, ...] = ()


@dataclass(frozen=True)
class CreateApiIntegration(Creation):
    provider: str = ""
    role_arn: str = ""
    enabled: bool = True
    allowed_prefixes: tuple[str, ...] = ()
    blocked_prefixes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileFormat:
    """``type`` is always PARQUET here; ``compression`` is upper case."""

    type: str
    compression: str | None = None


@dataclass(frozen=True)
class CreateStage(Creation):
    url: str = ""
    storage_integration: str = ""
    file_format: FileFormat | None = None
    temporary: bool = False


@dataclass(frozen=True)
class StagePath:
    """``@stage/path``; ``path`` has no leading slash and may be empty."""

    stage: Name
    path: str = ""


@dataclass(frozen=True)
class ListStage(Statement):
    location: StagePath
    pattern: str | None = None


@dataclass(frozen=True)
class RemoveStage(Statement):
    location: StagePath
    pattern: str | None = None


@dataclass(frozen=True)
class CopyIntoLocation(Statement):
    """An unload; ``query`` is the SELECT or, for a table, its name as written."""

    location: StagePath
    query: str
    file_format: FileFormat | None = None
    header: bool = False
    overwrite: bool = False
    single: bool = False
    max_file_size: int = 16_777_216
    detailed_output: bool = False
    include_query_id: bool = False


@dataclass(frozen=True)
class CopyIntoTable(Statement):
    table: Name
    location: StagePath
    file_format: FileFormat | None = None
    files: tuple[str, ...] = ()
    pattern: str | None = None
    match_by_column_name: Literal["NONE", "CASE_INSENSITIVE", "CASE_SENSITIVE"] = "NONE"
    on_error: str = "ABORT_STATEMENT"
    force: bool = False
    purge: bool = False


@dataclass(frozen=True)
class Type:
    """A Snowflake SQL type: ``FLOAT``, ``NUMBER(38,0)``, ``VARCHAR``; synonyms are resolved."""

    name: str
    precision: int | None = None
    scale: int | None = None

    def __str__(self) -> str:
        if self.name == "NUMBER":
            return f"NUMBER({self.precision},{self.scale})" if self.precision is not None else "NUMBER"
        return f"{self.name}({self.precision})" if self.precision is not None else self.name


@dataclass(frozen=True)
class Argument:
    name: str
    type: Type


@dataclass(frozen=True)
class CreateExternalFunction(Creation):
    arguments: tuple[Argument, ...] = ()
    returns: Type = field(default_factory=lambda: Type("VARIANT"))
    not_null: bool = False
    strict: bool = False
    immutable: bool = False
    secure: bool = False
    api_integration: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    context_headers: tuple[str, ...] = ()
    max_batch_rows: int | None = None
    compression: Literal["NONE", "GZIP", "DEFLATE", "AUTO"] = "AUTO"
    url: str = ""


@dataclass(frozen=True)
class Drop(Statement):
    kind: Literal["ROLE", "WAREHOUSE", "INTEGRATION", "STAGE"]
    name: Name
    if_exists: bool = False


@dataclass(frozen=True)
class DropFunction(Statement):
    name: Name
    types: tuple[Type, ...]
    if_exists: bool = False


@dataclass(frozen=True)
class DescribeIntegration(Statement):
    name: Name
    kind: Literal["STORAGE", "API"] | None = None


@dataclass(frozen=True)
class DescribeFunction(Statement):
    name: Name
    types: tuple[Type, ...]


@dataclass(frozen=True)
class Show(Statement):
    kind: Literal["EXTERNAL FUNCTIONS", "ROLES", "WAREHOUSES", "INTEGRATIONS", "STAGES", "GRANTS"]
    like: str | None = None
    of_role: str | None = None


@dataclass(frozen=True)
class Grant(Statement):
    """``revoke`` turns it round. A role grant has no ``privileges``; its role stands in ``role_granted``."""

    grantee_kind: Literal["ROLE", "USER"]
    grantee: str
    privileges: tuple[str, ...] = ()
    object_kind: str | None = None
    object_name: Name | None = None
    scope: str | None = None
    role_granted: str | None = None
    with_grant_option: bool = False
    revoke: bool = False


@dataclass(frozen=True)
class Use(Statement):
    kind: Literal["ROLE", "WAREHOUSE", "DATABASE", "SCHEMA", "SECONDARY ROLES"]
    name: Name


@dataclass(frozen=True)
class AlterSession(Statement):
    """``parameters``: name to value, ``None`` for UNSET."""

    parameters: tuple[tuple[str, str | int | bool | None], ...]
