"""Decides a batch run: unload the rows, load the scores, and merge them so that a second run changes nothing.

The table is keyed by the entity and AS_OF. A score from the same version and run is not written again, so SCORED_AT stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.deploy.live import LiveVersion
from app.errors import CallerError, PermanentError
from app.export.check import make_check
from app.export.plan import LOADED_PARQUET, UnloadPlan, plan_unload
from app.features.training_set import FeatureSet, scoring_query
from app.ownership import comment
from app.ports import ColumnType, Row
from app.registry.gate import refuse_rejected
from app.registry.versions import RegisteredVersion
from app.runs.identity import Run
from app.spec import Pipeline
from app.sql import Name, Statement, columns, identifier, literal, naive_utc, stage_path

#: Columns of the prediction table next to the entity's.
AS_OF, SCORE, LABEL, ERROR = "AS_OF", "SCORE", "LABEL", "ERROR"

#: Rows predicted at a time: 20 MB of float32 at 40 features, and enough to keep all cores busy.
CHUNK_ROWS = 131_072


@dataclass(frozen=True)
class BatchPlan:
    """All that the stage does, in its order.

    ``table``: a query over the prediction table. ``adapt``: by the column that an older table lacks, the statement that adds it;
    with an empty name, what is run in any case. ``unfit_allowed``: a row with a value that the model does not take has no score,
    and does not keep the others from theirs. ``load``: into a
    table of this run, dropped at the end. ``count_loaded``: the rows, those with a score, and those at the run's logical date.
    """

    version: RegisteredVersion
    unload: UnloadPlan
    predictions_uri: str
    create: Statement
    table: str
    adapt: tuple[tuple[str, Statement], ...]
    unfit_allowed: bool
    load: tuple[Statement, ...]
    count_loaded: Statement
    merge: Statement
    drop: Statement
    key: tuple[str, ...]


def scored_version(own: RegisteredVersion, live: LiveVersion | None, pipeline: str) -> RegisteredVersion:
    """The version that fills the prediction table: the live one, so that the table and the SQL function give the same scores.

    ``own``: the run's version, which is used as long as no version is live. Of an experiment, its first version. Raises CallerError
    if the run's features are not those of the live version, GateRefused if that is because its own version was rejected.
    """
    if live is None or live.version == own.version:
        return own
    if live.contract != own.made_contract():
        refuse_rejected(own)
        raise CallerError(
            f"live is version {live.version}, and the features of this run are those of {own.version}, so the live version cannot "
            f"score them; make the run's version live first, `snowsage promote {pipeline} {own.version}`, or run the definition "
            f"that made {live.version}"
        )
    return replace(
        own,
        version=live.version,
        stage="production",
        artifact_uri=live.artifact_uri,
        artifact_sha256=live.artifact_sha256,
    )


def plan_batch(
    pipeline: Pipeline, run: Run, features: FeatureSet, version: RegisteredVersion, bucket: str, stage: Name
) -> BatchPlan:
    """Score every entity at the run's logical date with ``version``. Raises GateRefused for a rejected one."""
    refuse_rejected(version)
    target = Name.parse(pipeline.batch.table)
    loading = target.sibling(f"{target.last}__LOAD_{run.id.replace('-', '_').upper()}")
    contract = version.made_contract()
    key = (*contract.key, AS_OF)
    loaded = ",\n    ".join([*(f"{identifier(name)} {kind}" for name, kind in pipeline.entity.items())])
    loaded += f",\n    {AS_OF} TIMESTAMP_NTZ,\n    {SCORE} FLOAT"
    loaded += f",\n    {ERROR} VARCHAR" if pipeline.serving.on_bad_row == "error" else ""
    unfit_allowed = pipeline.serving.on_bad_row != "fail"
    check = make_check(scoring_query(features), contract, unfit_allowed=unfit_allowed)
    folder = f"{run.key('batch')}predictions/"
    return BatchPlan(
        version=version,
        unload=plan_unload(scoring_query(features), (check,), run, "batch/features", bucket, stage, pipeline.warehouse),
        predictions_uri=f"s3://{bucket}/{folder}",
        create=_create(target, pipeline),
        table=f"SELECT * FROM {target.sql}",
        adapt=_adapt(target, pipeline),
        unfit_allowed=unfit_allowed,
        load=(
            Statement(f"CREATE OR REPLACE TRANSIENT TABLE {loading.sql} (\n    {loaded}\n)"),
            Statement(
                f"COPY INTO {loading.sql}\nFROM {stage_path(stage, folder)}\nFILE_FORMAT = {LOADED_PARQUET}\n"
                "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
            ),
        ),
        count_loaded=Statement(
            f"SELECT COUNT(*), COUNT({SCORE}), COUNT_IF({AS_OF} = ?::TIMESTAMP_NTZ) FROM {loading.sql}",
            (naive_utc(features.scoring_as_of),),
        ),
        merge=_merge(target, loading, key, pipeline, run, version),
        drop=Statement(f"DROP TABLE IF EXISTS {loading.sql}"),
        key=key,
    )


def _create(target: Name, pipeline: Pipeline) -> Statement:
    typed = [f"{identifier(name)} {kind} NOT NULL" for name, kind in pipeline.entity.items()]
    typed += [f"{AS_OF} TIMESTAMP_NTZ NOT NULL", _score_column(pipeline)]
    typed += [f"{name} VARCHAR" for name in _texts(pipeline)]
    typed += ["MODEL_VERSION VARCHAR NOT NULL", "RUN_ID VARCHAR NOT NULL", "SCORED_AT TIMESTAMP_NTZ NOT NULL"]
    described = literal(table_comment(pipeline.name))
    return Statement(
        f"CREATE TABLE IF NOT EXISTS {target.sql} (\n    " + ",\n    ".join(typed) + f"\n)\nCOMMENT = {described}"
    )


def table_comment(pipeline: str) -> str:
    """The comment of the prediction table."""
    return comment(pipeline, "scores of its model")


def has_our_form(pipeline: Pipeline, names: set[str]) -> bool:
    """Whether a table without an owner has the columns of a prediction table of this entity."""
    return names >= {*pipeline.key, AS_OF, SCORE, "MODEL_VERSION", "RUN_ID", "SCORED_AT"}


_KINDS = {"NUMBER": "number", "VARCHAR": "text"}


def refuse_other_entity(pipeline: Pipeline, columns: Sequence[ColumnType]) -> None:
    """Raise CallerError if the prediction table was made for another entity: its key cannot change.

    The key's columns come before AS_OF; others may add columns of their own behind.
    """
    names = [column.name for column in columns]
    if AS_OF not in names:
        return
    stored = {column.name: column.kind for column in columns[: names.index(AS_OF)]}
    if stored == {name: _KINDS[kind] for name, kind in pipeline.entity.items()}:
        return
    before = ", ".join(f"{name} {'NUMBER' if kind == 'number' else 'VARCHAR'}" for name, kind in stored.items())
    wanted = ", ".join(f"{name} {kind}" for name, kind in pipeline.entity.items())
    raise CallerError(
        f"table {Name.parse(pipeline.batch.table)} was made for the entity ({before}), and the pipeline's is ({wanted}); the key "
        "of a table with scores cannot change; write another name for batch.table, or drop that table if its scores are not "
        "needed"
    )


def rule_of(pipeline: Pipeline) -> str:
    """The settings that turn a score into a row of the table."""
    batch = pipeline.batch
    return "" if batch.labels is None else f"{batch.threshold!r} {batch.labels[0]!r} {batch.labels[1]!r}"


def _score_column(pipeline: Pipeline) -> str:
    return f"{SCORE} FLOAT NOT NULL" if pipeline.serving.on_bad_row == "fail" else f"{SCORE} FLOAT"


def _texts(pipeline: Pipeline) -> list[str]:
    """The columns next to the score that depend on the pipeline's settings."""
    return [LABEL] * bool(pipeline.batch.labels) + [ERROR] * (pipeline.serving.on_bad_row == "error")


def _adapt(target: Name, pipeline: Pipeline) -> tuple[tuple[str, Statement], ...]:
    """What a table needs that was made with other settings."""
    added = [(name, Statement(f"ALTER TABLE {target.sql} ADD COLUMN {name} VARCHAR")) for name in _texts(pipeline)]
    if pipeline.serving.on_bad_row != "fail":
        added.append(("", Statement(f"ALTER TABLE {target.sql} ALTER COLUMN {SCORE} DROP NOT NULL")))
    return tuple(added)


def _merge(
    target: Name, loading: Name, key: tuple[str, ...], pipeline: Pipeline, run: Run, version: RegisteredVersion
) -> Statement:
    batch = pipeline.batch
    values = [f"{SCORE}"]
    select, binds = f"{columns(key)}, {SCORE}", []
    if batch.labels is not None:
        reached = f"IFF({SCORE} >= ?::FLOAT, ?, ?)"
        select += f", {reached if pipeline.serving.on_bad_row == 'fail' else f'IFF({SCORE} IS NULL, NULL, {reached})'} AS {LABEL}"
        binds += [batch.threshold, batch.labels[1], batch.labels[0]]
        values.append(LABEL)
    if pipeline.serving.on_bad_row == "error":
        select += f", {ERROR}"
        values.append(ERROR)
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


def judge_load(rows: int, unfit: int, counts: Row) -> None:
    """Compare the loaded rows with those that were written, of which ``unfit`` have no score.

    Raises PermanentError if a row, a score or a moment is not the same.
    """
    loaded, scores, in_time = (int(value) for value in counts)
    if {loaded, scores + unfit, in_time} != {rows}:
        raise PermanentError(
            f"{rows:,} rows were scored, {unfit:,} of them without a result, but {loaded:,} loaded, {scores:,} of them with a "
            f"score and {in_time:,} at the run's logical date; nothing was merged"
        )
