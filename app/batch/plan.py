"""Decides a batch run: unload the rows, load the scores, and merge them so that a second run changes nothing.

The table is keyed by the entity and AS_OF. A score from the same version and run is not written again, so SCORED_AT stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.export.plan import UnloadPlan, plan_unload
from app.features.training_set import FeatureSet, scoring_query
from app.registry.gate import refuse_rejected
from app.registry.versions import RegisteredVersion
from app.runs.identity import Run
from app.spec import Pipeline
from app.sql import Name, Statement, columns, identifier, stage_path

#: Columns of the prediction table next to the entity's.
AS_OF, SCORE, LABEL = "AS_OF", "SCORE", "LABEL"

#: Rows predicted at a time: 20 MB of float32 at 40 features, and enough to keep all cores busy.
CHUNK_ROWS = 131_072


@dataclass(frozen=True)
class BatchPlan:
    """All that the stage does, in its order.

    ``table``: a query over the prediction table. ``add_label``: for a table that was made without labels. ``load``: into a
    table of this run, dropped at the end.
    """

    version: RegisteredVersion
    unload: UnloadPlan
    predictions_uri: str
    create: Statement
    table: str
    add_label: Statement | None
    load: tuple[Statement, ...]
    count_loaded: Statement
    merge: Statement
    drop: Statement
    key: tuple[str, ...]


def plan_batch(
    pipeline: Pipeline, run: Run, features: FeatureSet, version: RegisteredVersion, bucket: str, stage: Name
) -> BatchPlan:
    """Score every entity at the run's logical date with the run's version. Raises GateRefused for a rejected version."""
    refuse_rejected(version)
    target = Name.parse(pipeline.batch.table)
    loading = target.sibling(f"{target.last}__LOAD_{run.id.replace('-', '_').upper()}")
    contract = version.made_contract()
    key = (*contract.key, AS_OF)
    loaded = ",\n    ".join([*(f"{identifier(name)} {kind}" for name, kind in pipeline.entity.items())])
    loaded += f",\n    {AS_OF} TIMESTAMP_NTZ,\n    {SCORE} FLOAT"
    folder = f"{run.key('batch')}predictions/"
    return BatchPlan(
        version=version,
        unload=plan_unload(scoring_query(features), contract, run, "batch/features", bucket, stage),
        predictions_uri=f"s3://{bucket}/{folder}",
        create=_create(target, pipeline),
        table=f"SELECT * FROM {target.sql}",
        add_label=Statement(f"ALTER TABLE {target.sql} ADD COLUMN {LABEL} VARCHAR") if pipeline.batch.labels else None,
        load=(
            Statement(f"CREATE OR REPLACE TRANSIENT TABLE {loading.sql} (\n    {loaded}\n)"),
            Statement(
                f"COPY INTO {loading.sql}\nFROM {stage_path(stage, folder)}\nFILE_FORMAT = (TYPE = PARQUET)\n"
                "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
            ),
        ),
        count_loaded=Statement(f"SELECT COUNT(*), COUNT({SCORE}) FROM {loading.sql}"),
        merge=_merge(target, loading, key, pipeline, run, version),
        drop=Statement(f"DROP TABLE IF EXISTS {loading.sql}"),
        key=key,
    )


def _create(target: Name, pipeline: Pipeline) -> Statement:
    typed = [f"{identifier(name)} {kind} NOT NULL" for name, kind in pipeline.entity.items()]
    typed += [f"{AS_OF} TIMESTAMP_NTZ NOT NULL", f"{SCORE} FLOAT NOT NULL"]
    typed += [f"{LABEL} VARCHAR"] if pipeline.batch.labels else []
    typed += ["MODEL_VERSION VARCHAR NOT NULL", "RUN_ID VARCHAR NOT NULL", "SCORED_AT TIMESTAMP_NTZ NOT NULL"]
    return Statement(f"CREATE TABLE IF NOT EXISTS {target.sql} (\n    " + ",\n    ".join(typed) + "\n)")


def _merge(
    target: Name, loading: Name, key: tuple[str, ...], pipeline: Pipeline, run: Run, version: RegisteredVersion
) -> Statement:
    batch = pipeline.batch
    values = [f"{SCORE}"]
    select, binds = f"{columns(key)}, {SCORE}", []
    if batch.labels is not None:
        select += f", IFF({SCORE} >= ?::FLOAT, ?, ?) AS {LABEL}"
        binds += [batch.threshold, batch.labels[1], batch.labels[0]]
        values.append(LABEL)
    select += ", ? AS MODEL_VERSION, ? AS RUN_ID, SYSDATE() AS SCORED_AT"
    values += ["MODEL_VERSION", "RUN_ID", "SCORED_AT"]
    same_row = " AND ".join(f"t.{identifier(name)} = s.{identifier(name)}" for name in key)
    changed = " OR ".join(f"t.{name} IS DISTINCT FROM s.{name}" for name in values if name != "SCORED_AT")
    return Statement(
        f"MERGE INTO {target.sql} AS t\nUSING (SELECT {select} FROM {loading.sql}) AS s\nON {same_row}\n"
        f"WHEN MATCHED AND ({changed}) THEN UPDATE SET {', '.join(f'{name} = s.{name}' for name in values)}\n"
        f"WHEN NOT MATCHED THEN INSERT ({columns(key)}, {', '.join(values)})\n"
        f"VALUES ({', '.join(f's.{identifier(name)}' for name in key)}, {', '.join(f's.{name}' for name in values)})",
        (*binds, version.version, run.id),
    )
