"""Stages and file formats in the dialect: which rule reads and which handler runs each statement."""

from localcloud.snowflake.objects.feature import Created, Shown, Subject
from localcloud.snowflake.objects.stages import file_formats, grammar, statements, syntax, transfer
from localcloud.snowflake.result import DESCRIBE

_TEMPORARY = frozenset({"TEMP", "TEMPORARY"})

SUBJECT = Subject(
    rules={
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
    dropped={"STAGE": statements.drop, "FILE FORMAT": file_formats.drop},
    shown={
        "STAGES": Shown(statements.SHOWN, statements.shown),
        "FILE FORMATS": Shown(file_formats.SHOWN, file_formats.shown),
    },
    handlers={
        syntax.CreateStage: statements.create,
        syntax.AlterStage: statements.alter,
        syntax.DescribeStage: statements.describe,
        syntax.CreateFileFormat: file_formats.create,
        syntax.AlterFileFormat: file_formats.alter,
        syntax.DescribeFileFormat: file_formats.describe,
        syntax.ListStage: statements.list_files,
        syntax.RemoveStage: statements.remove_files,
        syntax.Put: transfer.put,
        syntax.Get: transfer.get,
    },
    columns={
        syntax.ListStage: (lambda _: statements.LISTED, 0),
        syntax.RemoveStage: (lambda _: statements.REMOVED, 0),
        syntax.DescribeStage: (lambda _: statements.DESCRIBED, DESCRIBE),
        syntax.DescribeFileFormat: (lambda _: file_formats.DESCRIBED, DESCRIBE),
        syntax.Put: (lambda _: transfer.PUT_COLUMNS, 0),
        syntax.Get: (lambda _: transfer.GET_COLUMNS, 0),
    },
)
