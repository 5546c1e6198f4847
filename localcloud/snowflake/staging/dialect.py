"""Stages, file formats and COPY INTO in the dialect: which rule reads and which handler runs each statement."""

from localcloud.snowflake.result import COPY, DESCRIBE
from localcloud.snowflake.staging import (
    copy_grammar,
    file_formats,
    grammar,
    load,
    stages,
    syntax,
    transfer,
    unload,
)
from localcloud.snowflake.subject import Created, Shown, Subject

_TEMPORARY = frozenset({"TEMP", "TEMPORARY"})

SUBJECT = Subject(
    rules={
        ("COPY", "INTO"): copy_grammar.copy_into,
        ("PUT",): grammar.put,
        ("GET",): grammar.get,
        ("ALTER", "STAGE"): grammar.alter_stage,
        ("ALTER", "FILE", "FORMAT"): grammar.alter_file_format,
        ("DESCRIBE", "STAGE"): grammar.describe_stage,
        ("DESCRIBE", "FILE", "FORMAT"): grammar.describe_file_format,
        **{(word,): grammar.list_or_remove for word in ("LIST", "LS", "REMOVE", "RM")},
    },
    created={
        "STAGE": Created(grammar.create_stage, modifiers=_TEMPORARY),
        "FILE FORMAT": Created(grammar.create_file_format, modifiers=_TEMPORARY | {"VOLATILE"}),
    },
    dropped={"STAGE": stages.drop, "FILE FORMAT": file_formats.drop},
    shown={
        "STAGES": Shown(stages.SHOWN, stages.shown),
        "FILE FORMATS": Shown(file_formats.SHOWN, file_formats.shown),
    },
    handlers={
        syntax.CreateStage: stages.create,
        syntax.AlterStage: stages.alter,
        syntax.DescribeStage: stages.describe,
        syntax.CreateFileFormat: file_formats.create,
        syntax.AlterFileFormat: file_formats.alter,
        syntax.DescribeFileFormat: file_formats.describe,
        syntax.ListStage: stages.list_files,
        syntax.RemoveStage: stages.remove_files,
        syntax.Put: transfer.put,
        syntax.Get: transfer.get,
        syntax.CopyIntoLocation: unload.copy_into_location,
        syntax.CopyIntoTable: load.copy_into_table,
    },
    columns={
        syntax.CopyIntoLocation: (unload.columns_of, COPY),
        syntax.CopyIntoTable: (load.columns_of, COPY),
        syntax.ListStage: (lambda _: stages.LISTED, 0),
        syntax.RemoveStage: (lambda _: stages.REMOVED, 0),
        syntax.DescribeStage: (lambda _: stages.DESCRIBED, DESCRIBE),
        syntax.DescribeFileFormat: (lambda _: file_formats.DESCRIBED, DESCRIBE),
        syntax.Put: (lambda _: transfer.PUT_COLUMNS, 0),
        syntax.Get: (lambda _: transfer.GET_COLUMNS, 0),
    },
)
