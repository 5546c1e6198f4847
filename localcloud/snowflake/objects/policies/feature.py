"""Policies as a feature: statements, state, and what they do to queries."""

from typing import Any

from localcloud.snowflake.objects.feature import Description, Feature, Listing, SchemaCreated, SchemaKind
from localcloud.snowflake.objects.policies import functions, grammar, queries, statements, syntax
from localcloud.snowflake.objects.policies.references import MaskingPolicy, PolicyReferences, RowAccessPolicy
from localcloud.snowflake.objects.store import SchemaObjects

_COMMON: dict[str, Any] = {
    "description": Description(statements.DESCRIBED, statements.described),
    "settings": grammar.settings,
    "refused": {"SET TAG": "tags of policies", "UNSET TAG": "tags of policies"},
    "renames": True,
    "alter": statements.alter,
    "drop_check": statements.drop_check,
}
MASKING: SchemaKind[MaskingPolicy] = SchemaKind(
    word="MASKING POLICY",
    example="AS (v VARCHAR) RETURNS VARCHAR -> v",
    listings={"MASKING POLICIES": Listing(statements.COLUMNS, statements.row)},
    **_COMMON,
)
ROW_ACCESS: SchemaKind[RowAccessPolicy] = SchemaKind(
    word="ROW ACCESS POLICY",
    example="AS (v VARCHAR) RETURNS BOOLEAN -> TRUE",
    listings={"ROW ACCESS POLICIES": Listing(statements.COLUMNS, statements.row)},
    **_COMMON,
)
FEATURE = Feature(
    kinds=(MASKING, ROW_ACCESS),
    created={
        MASKING.word: SchemaCreated(
            rule=grammar.create_masking,
            kind=MASKING,
            definition=syntax.CreateMaskingPolicy,
            make=statements.maker(MaskingPolicy),
        ),
        ROW_ACCESS.word: SchemaCreated(
            rule=grammar.create_row_access,
            kind=ROW_ACCESS,
            definition=syntax.CreateRowAccessPolicy,
            make=statements.maker(RowAccessPolicy),
        ),
    },
    claimed={grammar.sets_policies: grammar.set_policies},
    handlers={syntax.SetMasks: statements.set_masks, syntax.SetRowAccess: statements.set_row_access},
    states=(
        lambda account, _: PolicyReferences(
            account.state(SchemaObjects).of(MASKING), account.state(SchemaObjects).of(ROW_ACCESS)
        ),
    ),
    statement_rewrites=(queries.apply,),
    rewrites=(functions.rewrite,),
)
