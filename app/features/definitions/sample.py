"""A pipeline over a sample of its entities, for development: the same definitions, over small copies of the sources.

The sample is a pipeline of its own, ``churn-sample``, with views, tables and a function of its own, so it never touches what the
whole pipeline made. Entities are chosen by a hash of the key, so the sources agree on them, and so do two samples of the same data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.errors import CallerError
from app.features import store
from app.features.policies import read_policies
from app.ownership import claim, comment, find_objects
from app.ports import ColumnType, Warehouse
from app.spec import Pipeline, PipelineFile
from app.spec.values import is_pipeline_name
from app.sql import Name, Statement, identifier, literal

SUFFIX = "sample"


@dataclass(frozen=True)
class SamplePlan:
    """``key``: the column whose hash chooses. ``tables``: by short name of a source, the table of its copy.

    Sources without the key, such as a list of countries, are absent: they are used whole.
    """

    file: PipelineFile
    key: str
    tables: Mapping[str, Name]

    def count(self) -> Statement:
        """The number of entities, about, in the source that defines them."""
        first = Name.parse(self.file.pipeline.sources[next(iter(self.tables))].table)
        return Statement(f"SELECT APPROX_COUNT_DISTINCT({identifier(self.key)}) FROM {first.sql}")

    def copies(self, one_in: int) -> list[Statement]:
        """The statements that copy the rows of one in ``one_in`` entities."""
        pipeline = self.file.pipeline
        described = literal(comment(sampled_name(pipeline), f"rows of one in {one_in} entities"))
        return [
            Statement(
                f"CREATE OR REPLACE TRANSIENT TABLE {table.sql} COMMENT = {described} AS\n"
                f"SELECT * FROM {Name.parse(pipeline.sources[name].table).sql} "
                f"WHERE MOD(ABS(HASH({identifier(self.key)})), {one_in}) = 0",
                warehouse=pipeline.warehouse,
            )
            for name, table in self.tables.items()
        ]


def plan_sample(file: PipelineFile, columns: Mapping[str, Sequence[ColumnType]]) -> SamplePlan:
    """``columns``: those of each source. Raises CallerError if no source has a column of the entity, and for too long a name."""
    pipeline = file.pipeline
    if not is_pipeline_name(sampled_name(pipeline)):
        raise CallerError(
            f"--sample: {sampled_name(pipeline)} is too long for a pipeline's name; use a copy of the folder with a shorter name"
        )
    having = {
        key: [name for name, found in columns.items() if any(column.name == key for column in found)]
        for key in pipeline.key
    }
    key, names = max(having.items(), key=lambda item: len(item[1]))
    if not names:
        raise CallerError(
            f"--sample: no source has the column {' or '.join(pipeline.key)} of the entity, by which rows are chosen; run "
            "without --sample, or declare a view that has it as the source"
        )
    tables = {name: _table(f"{sampled_name(pipeline)}_{name}") for name in names}
    return SamplePlan(file, key, tables)


def one_in(found: int, wanted: int) -> int:
    """The power of two that leaves at least ``wanted`` of ``found`` entities, so that growing data rarely change the sample."""
    share = max(found // wanted, 1)
    return 1 << (share.bit_length() - 1)


def sampled_name(pipeline: Pipeline) -> str:
    """The name of the pipeline over the sample."""
    return f"{pipeline.name}-{SUFFIX}"


def sampled_file(plan: SamplePlan) -> PipelineFile:
    """The pipeline over the copies, each of whose objects has a name of its own."""
    pipeline = plan.file.pipeline
    changes = {
        "name": sampled_name(pipeline),
        "sources": {
            name: source.model_copy(update={"table": str(plan.tables[name])}) if name in plan.tables else source
            for name, source in pipeline.sources.items()
        },
        "features": tuple(
            view.model_copy(update={"view": f"{view.view}_{SUFFIX.upper()}"}) for view in pipeline.features
        ),
        "serving": pipeline.serving.model_copy(update={"function": _suffixed(pipeline.serving.function)}),
        "batch": pipeline.batch.model_copy(update={"table": _suffixed(pipeline.batch.table)}),
    }
    return replace(plan.file, pipeline=pipeline.model_copy(update=changes))


def draw_sample(warehouse: Warehouse, file: PipelineFile, wanted: int) -> tuple[PipelineFile, str]:
    """Copy the sources' rows of at least ``wanted`` entities, if there are as many. Returns the pipeline over the copies, and what
    was done. Raises CallerError if a table of another owner has a copy's name, and for a policy that is not allowed.
    """
    sources = file.pipeline.sources
    read_policies(warehouse, sources, file.at)  # the copies have no policies, only the values that these leave
    described = warehouse.describe_all([f"SELECT * FROM {Name.parse(source.table).sql}" for source in sources.values()])
    plan = plan_sample(file, dict(zip(sources, described, strict=True)))
    for name, found in find_objects(warehouse, plan.tables.values()).items():
        claim(sampled_name(file.pipeline), found.existing(name), "rename the pipeline")
    share = one_in(int(warehouse.run(plan.count()).scalar()), wanted)
    for statement in plan.copies(share):
        warehouse.run(statement)
    copies = ", ".join(str(name) for name in plan.tables.values())
    return sampled_file(plan), f"sample: one in {share} entities by {plan.key}, copied to {copies}"


def _table(name: str) -> Name:
    return Name.of(store.SCHEMA, name.upper().replace("-", "_"))


def _suffixed(name: str) -> str:
    found = Name.parse(name)
    return str(found.sibling(f"{found.last}_{SUFFIX.upper()}"))
