"""COPY INTO, COPY_HISTORY and INFER_SCHEMA as a feature."""

from localcloud.snowflake.copy import grammar, load, load_history, unload
from localcloud.snowflake.files import infer_schema, staged_query
from localcloud.snowflake.objects.feature import Feature
from localcloud.snowflake.objects.stages import syntax
from localcloud.snowflake.result import COPY

FEATURE = Feature(
    rules={("COPY", "INTO"): grammar.copy_into},
    nested={
        syntax.CopyIntoLocation: unload.copy_into_location,
        syntax.CopyIntoTable: load.copy_into_table,
    },
    columns={
        syntax.CopyIntoLocation: (unload.columns_of, COPY),
        syntax.CopyIntoTable: (load.columns_of, COPY),
    },
    statement_rewrites=(staged_query.rewrite,),
    rewrites=(load_history.rewrite, lambda node, session, _: infer_schema.rewrite(node, session)),
)
