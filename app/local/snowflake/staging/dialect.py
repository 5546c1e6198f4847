"""Stages and COPY INTO in the dialect: which rule reads and which handler runs each statement."""

from app.local.snowflake.result import COPY
from app.local.snowflake.staging import grammar, load, stages, syntax, unload
from app.local.snowflake.subject import Created, Shown, Subject

SUBJECT = Subject(
    rules={
        ("COPY", "INTO"): grammar.copy_into,
        **{(word,): grammar.list_or_remove for word in ("LIST", "LS", "REMOVE", "RM")},
    },
    created={"STAGE": Created(grammar.create_stage, modifiers=frozenset({"TEMP", "TEMPORARY"}))},
    dropped={"STAGE": stages.drop},
    shown={"STAGES": Shown(stages.SHOWN, stages.shown)},
    handlers={
        syntax.CreateStage: stages.create,
        syntax.ListStage: stages.list_files,
        syntax.RemoveStage: stages.remove_files,
        syntax.CopyIntoLocation: unload.copy_into_location,
        syntax.CopyIntoTable: load.copy_into_table,
    },
    columns={
        syntax.CopyIntoLocation: (unload.columns_of, COPY),
        syntax.CopyIntoTable: (lambda _: load.COLUMNS, COPY),
        syntax.ListStage: (lambda _: stages.LISTED, 0),
        syntax.RemoveStage: (lambda _: stages.REMOVED, 0),
    },
)
