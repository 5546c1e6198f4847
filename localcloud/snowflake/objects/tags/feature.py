"""Tags as a feature: statements, state, and the functions that read them."""

from localcloud.snowflake.objects.feature import Description, Feature, Listing, SchemaCreated, SchemaKind
from localcloud.snowflake.objects.store import SchemaObjects
from localcloud.snowflake.objects.tags import functions, grammar, statements, syntax
from localcloud.snowflake.objects.tags.references import Tag, TagReferences

TAG: SchemaKind[Tag] = SchemaKind(
    word="TAG",
    example="",
    description=Description(statements.COLUMNS, lambda session, found: [statements.row(session, found)]),
    listings={"TAGS": Listing(statements.COLUMNS, statements.row)},
    unsettable=frozenset({"COMMENT", "ALLOWED_VALUES"}),
    actions={"ADD": grammar.change_allowed, "DROP": grammar.change_allowed},
    renames=True,
    alter=statements.alter,
    released=statements.forget,
)
FEATURE = Feature(
    kinds=(TAG,),
    created={
        "TAG": SchemaCreated(rule=grammar.create_tag, kind=TAG, definition=syntax.CreateTag, make=statements.make)
    },
    claimed={grammar.sets_tags: grammar.set_tags},
    handlers={syntax.SetTags: statements.set_tags},
    states=(lambda account, _: TagReferences(account.state(SchemaObjects).of(TAG)),),
    rewrites=(functions.rewrite,),
    system_functions={
        "SYSTEM$GET_TAG": functions.get_tag,
        "SYSTEM$GET_TAG_ALLOWED_VALUES": functions.allowed_values,
    },
)
