"""Writes a drafted pipeline as files: ``pipeline.yaml``, ``features.sql`` and, if it is needed, ``label.sql``, with comments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import yaml

from app.spec.draft.names import KEYWORDS, feature_name, key_names, quoted
from app.spec.profile import ColumnProfile, TableProfile
from app.sql import Name, identifier

#: The number of as-of times.
TIMES = 12


@dataclass(frozen=True)
class Request:
    """What the user asked for. ``key``: empty if it is to be found. ``time``: None for a table without time."""

    name: str
    table: Name
    label: str
    key: tuple[str, ...] = ()
    time: str | None = None


@dataclass(frozen=True)
class Feature:
    """One feature: its SQL, its name, and whether it is a text. ``remark``: a comment next to it."""

    sql: str
    name: str
    text: bool = False
    remark: str = ""


@dataclass(frozen=True)
class LabelPlan:
    """The label as SQL. ``column``: its column can be the label as it is; of a text, the second of ``labels`` is 1."""

    sql: str
    name: str
    objective: str
    remark: str
    labels: tuple[str, str] | None = None
    column: bool = False


@dataclass(frozen=True)
class TimesPlan:
    every: timedelta
    logical_date: date | None


@dataclass(frozen=True)
class Folder:
    """Everything decided, written as files."""

    request: Request
    profile: TableProfile
    key: tuple[ColumnProfile, ...]
    time: ColumnProfile | None
    label_column: ColumnProfile
    label: LabelPlan
    times: TimesPlan | None
    repeats: bool
    features: Sequence[Feature]
    left_out: tuple[str, ...]

    @property
    def source(self) -> str:
        """The source's short name, which the SQL files use."""
        name = feature_name(self.profile.table.last).lower()
        return f"{name}_rows" if KEYWORDS.fullmatch(name.upper()) else name

    @property
    def view(self) -> str:
        own, table = self.request.name.upper().replace("-", "_"), feature_name(self.profile.table.last)
        if table == own:
            return f"{own}_ROWS"
        return (
            table
            if table.startswith(f"{own}_") and table not in (f"{own}_LABEL", f"{own}_FEATURES")
            else f"{own}_{table}"
        )

    @property
    def key_names(self) -> list[str]:
        return key_names(self.key)

    def pipeline(self) -> str:
        """``pipeline.yaml``."""
        name, table = self.request.name, _in_comment(str(self.profile.table))
        entity = ", ".join(
            f"{_yaml_word(key.lower())}: {'NUMBER' if column.kind == 'number' else 'VARCHAR'}"
            for key, column in zip(self.key_names, self.key, strict=True)
        )
        upper = name.upper().replace("-", "_")
        single = f", key: {_yaml_word(self.key_names[0])}" if len(self.key) == 1 else ""
        return "\n".join(
            [
                f"# Made from {table} ({self.profile.rows:,} rows). docs/pipeline.md explains every key.",
                f"name: {_yaml_word(name)}",
                *self._logical_date(),
                "",
                f"entity: {{{entity}}}",
                "",
                "sources:",
                f"  {_yaml_word(self.source)}: {{table: {_yaml_name(self.profile.table)}{self._event_time()}}}",
                "",
                "features:",
                f"  - view: {_yaml_word(self.view)}",
                "    version: 1             # increase it when the meaning of the features changes",
                "    define: features.sql",
                *self._categories(),
                "",
                "label:",
                *self._label_origin(),
                *self._label_times(),
                "",
                "training:",
                f'  hyperparameters: {{objective: "{self.label.objective}", max_depth: 4, eta: 0.1, n_estimators: 400,',
                "                    early_stopping_rounds: 20}",
                *self._split(),
                *self._gate(),
                "",
                "# scorer: endpoint uses a SageMaker endpoint; with embedded the service itself scores, which costs no endpoint.",
                f"serving: {{function: PREDICT_{upper}{single}, scorer: endpoint}}",
                "",
                f"batch: {{table: ANALYTICS.{upper}_SCORES{self._threshold()}}}",
                "",
            ]
        )

    def files(self) -> dict[str, str]:
        """The files by name."""
        label = {} if self._has_label_column else {"label.sql": self.label_sql()}
        return {"pipeline.yaml": self.pipeline(), "features.sql": self.features_sql(), **label}

    def features_sql(self) -> str:
        """``features.sql``."""
        lines = [f"-- One row for each {' and '.join(self.key_names)}: what is known about it at the as-of time."]
        if self.times is None:
            lines.append(f"-- `{self.source}` is the source of that name: the table as it is now.")
        else:
            lines.append(f"-- `{self.source}` is the source of that name; it holds only rows before :as_of.")
        lines.append(
            "-- Leave out every column that is known only once the label is: the model would look better than it is."
        )
        lines += [f"-- Left out: {_in_comment(sentence)}" for sentence in self.left_out]
        return self._select(
            lines, [(item.sql, item.name, item.remark) for item in self.features], self._rows_of_features()
        )

    def label_sql(self) -> str:
        """``label.sql``."""
        lines = [f"-- The value to predict, for each {' and '.join(self.key_names)}: {self.label.remark}."]
        if self.times is not None:
            lines.append(f"-- Here `{self.source}` holds rows up to one horizon after :as_of.")
        if self.repeats:
            lines += [
                f"-- This is {self.label.name} in the first row from :as_of on. If it describes the time after its row,",
                "-- write `< :as_of` and order by the time descending: the last row before :as_of.",
            ]
        return self._select(lines, [(self.label.sql, self.label.name, "")], self._rows_of_label())

    def notes(self) -> Iterator[str]:
        """What was decided, for the console."""
        yield f"key {', '.join(self.key_names)}; label {self.label.name}: {self.label.remark}"
        yield f"{len(self.features)} features; left out: {'; '.join(self.left_out) or 'nothing'}"
        if missing := self.profile.rows - self.label_column.filled:
            yield f"{missing:,} rows have no label; they are scored, but not trained on"
        if self.times is None:
            yield (
                "the table has no time: its rows are split by a hash of the key, the report cannot show how a model ages, and "
                "nothing tells which columns were filled after what is to be predicted; leave those out of features.sql"
            )
        elif self.repeats:
            yield "a key has several rows: the last one before each as-of time gives the features, the next one the label"
        else:
            yield "each key has one row: each as-of time takes the rows of the interval before it"

    def _select(self, head: list[str], named: list[tuple[str, str, str]], tail: list[str]) -> str:
        keys = [(quoted(column.name), name, "") for column, name in zip(self.key, self.key_names, strict=True)]
        items = [*keys, *named]
        lines = []
        for position, (sql, name, remark) in enumerate(items):
            alias = (
                ""
                if sql.upper() == name
                else f" AS {name.lower() if not KEYWORDS.fullmatch(name) else identifier(name)}"
            )
            comma = "," if position + 1 < len(items) else ""
            lines.append(f"    {sql}{alias}{comma}{f'  -- {remark}' if remark else ''}")
        return "\n".join([*head, "SELECT", *lines, f"FROM {self.source}", *tail]) + "\n"

    def _rows_of_features(self) -> list[str]:
        conditions = self._keys_present()
        if self.times is not None and not self.repeats:
            conditions.insert(0, f"{self._time} >= {self._interval_start()}")
        return [*_where(conditions), *(self._one_a_key("DESC") if self.repeats else [])]

    def _rows_of_label(self) -> list[str]:
        conditions = [
            *self._keys_present(),
            f"{self.label.sql if 'TRY_' in self.label.sql else quoted(self.label_column.name)} IS NOT NULL",
        ]
        if self.repeats:
            return [*_where([f"{self._time} >= :as_of", *conditions]), *self._one_a_key("ASC")]
        if self.times is not None:
            conditions = [f"{self._time} >= {self._interval_start()}", f"{self._time} < :as_of", *conditions]
        return _where(conditions)

    @property
    def _time(self) -> str:
        assert self.time is not None
        return quoted(self.time.name)

    def _keys_present(self) -> list[str]:
        return [f"{quoted(column.name)} IS NOT NULL" for column in self.key if column.filled < self.profile.rows]

    def _one_a_key(self, order: str) -> list[str]:
        keys = ", ".join(quoted(column.name) for column in self.key)
        return [f"QUALIFY ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY {self._time} {order}) = 1"]

    def _interval_start(self) -> str:
        assert self.times is not None
        count, unit = _in_unit(self.times.every)
        return f"DATEADD('{unit}', -{count}, :as_of)"

    def _logical_date(self) -> list[str]:
        if self.times is None or self.times.logical_date is None:
            return []
        return [
            f"logical_date: {self.times.logical_date}   # the day after the table's last row; remove it for a table in use"
        ]

    def _event_time(self) -> str:
        return f", event_time: {_yaml_name(Name.of(self.time.name))}" if self.time else ""

    def _categories(self) -> list[str]:
        if not any(item.text for item in self.features):
            return []
        return ["    categories: auto       # of texts: the values in training rows; any other value counts as NULL"]

    @property
    def _has_label_column(self) -> bool:
        """Whether the table's own column is the label, next to keys of the entity's names."""
        named = [column.name for column in (*self.key, self.label_column)] == [*self.key_names, self.label.name]
        return self.times is None and self.label.column and named

    def _label_origin(self) -> list[str]:
        column = f"  column: {_yaml_word(self.label.name)}"
        if not self._has_label_column:
            return ["  define: label.sql", column]
        positive = (
            [f"  positive: {_yaml_text(self.label.labels[1])}   # is 1, any other value 0"] if self.label.labels else []
        )
        return [f"  source: {_yaml_word(self.source)}", column, *positive]

    def _label_times(self) -> list[str]:
        if self.times is None:
            return []
        count, unit = _in_unit(self.times.every)
        span = f"{count} {unit}{'s' if count > 1 else ''}"
        return [
            f"  horizon: {span}          # how long after the as-of time the label is known",
            f"  as_of: {{every: {span}, last: {TIMES}}}",
        ]

    def _split(self) -> list[str]:
        if self.times is None:
            return [
                "  split: {by: hash, validation: 0.1, test: 0.2}     # the table has no time: a hash of the key chooses the part",
            ]
        return ["  split: {by: time, validation: 0.1, test: 0.2}     # the latest rows are the test part"]

    def _gate(self) -> list[str]:
        if self.label.objective.startswith("binary"):
            return [
                "  gate: {metric: auc, at_least: 0.6}                # what a model must reach to go live; raise it"
            ]
        return [
            "  gate: {metric: rmse}                              # add at_most: the largest error with which a model may go live"
        ]

    def _threshold(self) -> str:
        if self.label.labels is None:
            return ""
        return f", threshold: 0.5, labels: {_yaml_list(self.label.labels)}"


def _yaml_name(name: Name) -> str:
    text = str(name)
    return _yaml_text(text) if '"' in text else _yaml_word(text)


def _yaml_word(word: str) -> str:
    """A name without quotes, unless YAML would read something else, such as true for ``ON``."""
    return word if yaml.safe_load(word) == word else _yaml_text(word)


def _yaml_list(values: Sequence[str]) -> str:
    return f"[{', '.join(_yaml_text(value) for value in values)}]"


def _yaml_text(value: str) -> str:
    """A text in double quotes; characters that YAML does not take are escaped."""
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)


def _in_comment(text: str) -> str:
    """A text that ends no comment."""
    return text if text.isprintable() else json.dumps(text)


def _where(conditions: Sequence[str]) -> list[str]:
    return [f"WHERE {' AND '.join(conditions)}"] if conditions else []


def _in_unit(span: timedelta) -> tuple[int, str]:
    days, hours = span // timedelta(days=1), span // timedelta(hours=1)
    return (days, "day") if days and not span % timedelta(days=1) else (hours, "hour")
