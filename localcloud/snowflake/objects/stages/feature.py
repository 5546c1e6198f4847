"""Stages and file formats as a feature: parser rules and statement handlers."""

from localcloud.snowflake.objects.feature import (
    TEMPORARY,
    Description,
    Feature,
    Listing,
    SchemaCreated,
    SchemaKind,
)
from localcloud.snowflake.objects.stages import file_formats, grammar, statements, syntax, transfer
from localcloud.snowflake.objects.stages.state import NamedFileFormat, Stage, StageState
from localcloud.snowflake.objects.store import SchemaObjects
from localcloud.snowflake.sessions.account import Account

STAGE: SchemaKind[Stage] = SchemaKind(
    word="STAGE",
    example="",
    created_title="Stage area",
    listings={"STAGES": Listing(statements.SHOWN, statements.row)},
    description=Description(statements.DESCRIBED, statements.properties),
    settings=grammar.stage_settings,
    unsettable=frozenset(),
    refused={"REFRESH": "directory tables, and so ALTER STAGE .. REFRESH"},
    renames=True,
    alter=statements.alter,
    released=statements.release,
)
FILE_FORMAT: SchemaKind[NamedFileFormat] = SchemaKind(
    word="FILE FORMAT",
    example="TYPE = CSV",
    listings={"FILE FORMATS": Listing(file_formats.SHOWN, file_formats.row)},
    description=Description(file_formats.DESCRIBED, file_formats.properties),
    settings=grammar.file_format_settings,
    unsettable=frozenset(),
    renames=True,
    alter=file_formats.alter,
)


def _stage_state(account: Account) -> StageState:
    objects = account.state(SchemaObjects)
    return StageState(account.folder, objects.of(STAGE), objects.of(FILE_FORMAT))


FEATURE = Feature(
    kinds=(STAGE, FILE_FORMAT),
    created={
        "STAGE": SchemaCreated(
            rule=grammar.create_stage,
            modifiers=TEMPORARY,
            kind=STAGE,
            definition=syntax.CreateStage,
            make=statements.make,
        ),
        "FILE FORMAT": SchemaCreated(
            rule=grammar.create_file_format,
            modifiers=TEMPORARY | {"VOLATILE"},
            kind=FILE_FORMAT,
            definition=syntax.CreateFileFormat,
            make=file_formats.make,
        ),
    },
    rules={
        ("PUT",): grammar.put,
        ("GET",): grammar.get,
        **{(word,): grammar.list_or_remove for word in ("LIST", "LS", "REMOVE", "RM")},
    },
    handlers={
        syntax.ListStage: statements.list_files,
        syntax.RemoveStage: statements.remove_files,
        syntax.Put: transfer.put,
        syntax.Get: transfer.get,
    },
    columns={
        syntax.ListStage: (lambda _: statements.LISTED, 0),
        syntax.RemoveStage: (lambda _: statements.REMOVED, 0),
        syntax.Put: (lambda _: transfer.PUT_COLUMNS, 0),
        syntax.Get: (lambda _: transfer.GET_COLUMNS, 0),
    },
    states=(lambda account, _: _stage_state(account),),
)
