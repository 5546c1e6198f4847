"""Decides a first pipeline for a table: its form, key, label, times and features.

Three forms, chosen by the table: a *snapshot* has no time, and is split by a hash of the key; *events* have a time and a key that
occurs once, and each as-of time takes the rows of the interval before it; a *history* has a time and a key that repeats, and each
as-of time takes the last row of each key before it, and the label of the first row after it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from app.errors import CallerError
from app.spec.draft.folder import TIMES, Feature, Folder, LabelPlan, Request, TimesPlan
from app.spec.draft.names import feature_name, free_name, key_names, quoted
from app.spec.profile import MOST_CATEGORIES, ColumnProfile, TableProfile
from app.sql import literal

#: Rows below which no model can be trained and measured.
_FEWEST_ROWS = 50
#: Columns of the feature store's tables, which no feature may be named like.
_RESERVED = {"AS_OF", "FEATURE_VERSION", "KNOWN_AT", "CREATED_AT"}
#: The number of intervals that the table must span for the as-of times.
_INTERVALS = TIMES + 2
_PIPELINE_NAME = re.compile(r"[a-z]([a-z0-9-]{0,23}[a-z0-9])?")
_KEY_NAME = re.compile(r"(^|_| )(ID|KEY|CODE|NO|NUMBER|UUID)$|[A-Za-z](Id|ID|Key)$", re.IGNORECASE)
_YES = {"yes", "y", "true", "t", "1", "churned", "churn", "positive", "bad", "fraud", "default"}


@dataclass(frozen=True)
class Draft:
    """The folder's files by name, and sentences about what was decided."""

    files: dict[str, str]
    notes: tuple[str, ...]


def check_name(name: str) -> None:
    """Raise CallerError for a name that a pipeline cannot have."""
    if not _PIPELINE_NAME.fullmatch(name):
        raise CallerError(
            f"{name!r} is not a pipeline's name: write up to 25 lower-case letters, digits and hyphens, such as churn or "
            "telco-churn"
        )


def find_key_names(request: Request, profile: TableProfile) -> tuple[str, ...]:
    """The columns that ``request.key`` names, as the table writes them. Raises CallerError for one that it lacks."""
    return tuple(_find(profile, name, "--key").name for name in request.key)


def plan_draft(request: Request, profile: TableProfile, today: date, entities: int | None = None) -> Draft:
    """Decide the files. Raises CallerError for a column that does not exist or that cannot be key, time or label.

    ``entities``: the number of distinct keys, needed if the request names several columns.
    """
    if profile.rows < _FEWEST_ROWS:
        raise CallerError(
            f"{profile.table} has {profile.rows:,} rows; a model needs at least {_FEWEST_ROWS} to be trained and measured"
        )
    label_column = _find(profile, request.label, "--label")
    time_column = _find_time(profile, request.time) if request.time else None
    used = {label_column.name, *([time_column.name] if time_column else [])}
    key = _find_key(request, profile, used)
    keys = key[0].distinct if len(key) == 1 else entities or profile.rows
    repeats = keys < min(column.filled for column in key)
    if repeats and time_column is None:
        raise CallerError(
            f"--key: {', '.join(column.name for column in key)} has {keys:,} values in {profile.rows:,} rows, but a row must be "
            "one entity; name more columns by repeating --key, or name the time of each row by --time"
        )
    label = _plan_label(label_column)
    label = replace(label, name=free_name(label.name, key_names(key)))
    times = _plan_times(profile, time_column, today) if time_column else None
    features, left_out = _plan_features(
        profile, used | {column.name for column in key}, time_column if not repeats else None, label, key_names(key)
    )
    if not features:
        raise CallerError(f"{profile.table} has no column that can be a feature: {'; '.join(left_out)}")
    form = Folder(request, profile, key, time_column, label_column, label, times, repeats, features, tuple(left_out))
    return Draft(form.files(), tuple(form.notes()))


def _find(profile: TableProfile, name: str, option: str) -> ColumnProfile:
    found = profile.find(name)
    if found is None:
        names = [column.name for column in profile.columns]
        near = difflib.get_close_matches(name.upper(), [known.upper() for known in names], n=1)
        hint = next((known for known in names if near and known.upper() == near[0]), "")
        raise CallerError(
            f"{option}: {profile.table} has no column {name}; "
            + (f"did you mean {hint}?" if hint else f"its columns are {', '.join(names)}")
        )
    return found


def _find_time(profile: TableProfile, name: str) -> ColumnProfile:
    found = _find(profile, name, "--time")
    if found.kind != "time":
        raise CallerError(
            f"--time: {found.name} is not a DATE or TIMESTAMP; make a view over {profile.table} that converts it, and use the view"
        )
    return found


def _find_key(request: Request, profile: TableProfile, used: set[str]) -> tuple[ColumnProfile, ...]:
    if request.key:
        key = tuple(_find(profile, name, "--key") for name in request.key)
    else:
        key = (_guess_key(profile, used, timed=request.time is not None),)
    for column in key:
        if column.kind not in ("number", "text"):
            raise CallerError(f"--key: {column.name} is neither a number nor a text; use another column")
    return key


def _guess_key(profile: TableProfile, used: set[str], *, timed: bool) -> ColumnProfile:
    able = [column for column in profile.columns if column.kind in ("number", "text") and column.name not in used]
    unique = [column for column in able if column.distinct == column.filled == profile.rows]
    named = [column for column in able if _KEY_NAME.search(column.name)]
    for candidates in ([column for column in named if column in unique], named if timed else unique):
        if candidates:
            return candidates[0]
    raise CallerError(f"no column identifies a row of {profile.table}; name the column, or several, by --key")


def _plan_label(column: ColumnProfile) -> LabelPlan:
    sql, name = quoted(column.name), feature_name(column.name)
    if column.kind not in ("number", "text", "boolean"):
        raise CallerError(f"--label: {column.name} is neither a number, a boolean nor a text")
    if column.distinct < 2:
        raise CallerError(f"--label: {column.name} has {column.distinct} distinct values; a label needs at least two")
    if column.kind == "boolean":
        return LabelPlan(f"IFF({sql}, 1, 0)", name, "binary:logistic", "TRUE is 1", column=True)
    if column.distinct == 2:
        return _plan_binary(column, sql, name)
    if column.kind == "number":
        return LabelPlan(sql, name, "reg:squarederror", "a number: the model predicts its value", column=True)
    if column.numeric and column.numeric + column.blank == column.filled:
        return LabelPlan(f"TRY_TO_DOUBLE(TRIM({sql}))", name, "reg:squarederror", "a text that holds numbers")
    raise CallerError(
        f"--label: {column.name} is a text with {column.distinct:,} distinct values; a label is a number, or has two values. "
        "Make a view with a column that is 1 for the rows to predict and 0 for the others"
    )


def _plan_binary(column: ColumnProfile, sql: str, name: str) -> LabelPlan:
    values = [value for value, _ in column.values]
    if column.kind == "number":
        low, high = column.least, column.greatest
        if (low, high) == (0, 1):
            return LabelPlan(sql, name, "binary:logistic", "0 or 1", column=True)
        return LabelPlan(f"IFF({sql} = {high}, 1, 0)", name, "binary:logistic", f"{high} is 1, {low} is 0")
    known = [value for value in values if value.strip().lower() in _YES]
    rarer = min(column.values, key=lambda pair: pair[1])[0]
    yes = known[0] if len(known) == 1 else rarer
    no = next(value for value in values if value != yes)
    return LabelPlan(
        f"IFF({sql} = {literal(yes)}, 1, 0)",
        name,
        "binary:logistic",
        f"{json.dumps(yes)} is 1, {json.dumps(no)} is 0",
        (no, yes),
        column=True,
    )


def _plan_times(profile: TableProfile, time: ColumnProfile, today: date) -> TimesPlan:
    if time.least is None or time.greatest is None:
        raise CallerError(f"--time: {time.name} is NULL in every row")
    first, last = time.least, time.greatest
    unit = next((unit for unit in (timedelta(days=1), timedelta(hours=1)) if (last - first) >= _INTERVALS * unit), None)
    if unit is None:
        raise CallerError(
            f"--time: the rows of {profile.table} span {last - first}, too little to split them by time; leave --time out to "
            "split them by entity"
        )
    every = min(((last - first) // _INTERVALS) // unit * unit, timedelta(days=30))
    in_use = today - last.date() <= max(every, timedelta(days=7))
    return TimesPlan(every, None if in_use else last.date() + timedelta(days=1))


def _plan_features(
    profile: TableProfile, used: set[str], event_time: ColumnProfile | None, label: LabelPlan, keys: Sequence[str]
) -> tuple[list[Feature], list[str]]:
    """The features, and a sentence about each column that is left out."""
    features = _parts_of(event_time) if event_time else []
    left_out = []
    taken = {*_RESERVED, label.name, *keys, *(feature_name(name) for name in used), *(item.name for item in features)}
    for column in profile.columns:
        if column.name in used:
            continue
        if reason := _unfit(column, profile.rows):
            left_out.append(f"{column.name}: {reason}")
            continue
        feature = _plan_feature(column)
        name = free_name(feature.name, taken)
        taken.add(name)
        features.append(replace(feature, name=name))
    return features, left_out


def _unfit(column: ColumnProfile, rows: int) -> str:
    if column.kind == "other":
        return "neither a number, a boolean, a text nor a date"
    if column.filled == 0:
        return "NULL in every row"
    if column.distinct == 1 and column.filled == rows:
        return "the same value in every row"
    if column.kind == "text" and not _holds_numbers(column) and column.distinct > MOST_CATEGORIES:
        return f"a text with {column.distinct:,} distinct values"
    return ""


def _plan_feature(column: ColumnProfile) -> Feature:
    sql, name = quoted(column.name), feature_name(column.name)
    if column.kind == "time":
        return Feature(f"DATEDIFF('day', {sql}, :as_of)", f"DAYS_SINCE_{name}", remark="a date becomes an age")
    if column.kind == "text" and _holds_numbers(column):
        return Feature(f"TRY_TO_DOUBLE(TRIM({sql}))", name, remark="a text that holds numbers")
    if column.kind == "text":
        return Feature(sql, name, text=True)
    return Feature(sql, name)


def _parts_of(time: ColumnProfile) -> list[Feature]:
    """An event's own time as features that do not age."""
    sql, name = quoted(time.name), feature_name(time.name)
    weekday = Feature(f"DAYOFWEEK({sql})", f"{name}_WEEKDAY")
    moments = {time.least.time(), time.greatest.time()}
    return [weekday] if moments == {datetime.min.time()} else [Feature(f"HOUR({sql})", f"{name}_HOUR"), weekday]


def _holds_numbers(column: ColumnProfile) -> bool:
    return column.distinct > 2 and column.numeric > 0 and column.numeric + column.blank == column.filled
