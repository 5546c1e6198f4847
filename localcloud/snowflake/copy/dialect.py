"""COPY INTO in the dialect: which rule reads and which handler runs it."""

from localcloud.snowflake.copy import grammar, load, unload
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
)
