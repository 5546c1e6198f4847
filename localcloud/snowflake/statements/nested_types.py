"""What DuckDB's types do not say about columns: OBJECT and ARRAY, TIMESTAMP_LTZ and TIMESTAMP_TZ, sizes, NOT NULL.

DuckDB has one type for OBJECT, ARRAY and VARIANT, and one for TIMESTAMP_LTZ and TIMESTAMP_TZ. A column's text is Snowflake's own:
``TIMESTAMP_LTZ(3) NOT NULL``; where only NOT NULL is known, the type is missing. It is derived from the query's text, through
subqueries, views and tables. Columns whose type is not found are VARIANT, TIMESTAMP_TZ, of the largest size, and may be NULL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa
from sqlglot import exp

from localcloud.snowflake.result import REQUIRED, Result
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.names import named, stored, table_name
from localcloud.snowflake.sql.syntax import Path
from localcloud.snowflake.tables import declared_columns, merge
from localcloud.snowflake.tables.properties import TableProperties

# Types by column name.
Kinds = Mapping[str, str]

_ARRAYS = (
    *(exp.Array, exp.ArrayAgg, exp.ArrayAppend, exp.ArrayCompact, exp.ArrayConcat, exp.ArrayConstructCompact),
    *(exp.ArrayDistinct, exp.ArrayExcept, exp.ArrayInsert, exp.ArrayIntersect, exp.ArrayPrepend, exp.ArrayRemove),
    *(exp.ArrayRemoveAt, exp.ArrayReverse, exp.ArraySlice, exp.ArrayUniqueAgg, exp.Flatten, exp.GenerateSeries),
    *(exp.ArrayFilter, exp.ArraysZip, exp.Transform),
    *(exp.JSONKeys, exp.SortArray, exp.Split, exp.StrtokToArray, exp.ToArray),
)
_STATES = (exp.ApproxPercentileAccumulate, exp.ApproxPercentileCombine)
_OBJECTS = (exp.Struct, exp.StarMap, exp.JSONObject, exp.ObjectAgg, exp.ObjectInsert, *_STATES)
_NAMED = {
    **dict.fromkeys(("TO_OBJECT", "AS_OBJECT", "OBJECT_DELETE", "OBJECT_PICK"), "OBJECT"),
    "AS_ARRAY": "ARRAY",
    **{f"{word}TO_TIMESTAMP_{kind}": f"TIMESTAMP_{kind}" for word in ("", "TRY_") for kind in ("LTZ", "TZ")},
}
_DECLARED = {
    exp.DataType.Type.ARRAY: "ARRAY",
    exp.DataType.Type.OBJECT: "OBJECT",
    exp.DataType.Type.TIMESTAMPLTZ: "TIMESTAMP_LTZ",
    exp.DataType.Type.TIMESTAMPTZ: "TIMESTAMP_TZ",
}
# Types that are noted only with a size.
_SIZED = {
    **dict.fromkeys((exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ), "TIMESTAMP_NTZ"),
    exp.DataType.Type.DATETIME: "TIMESTAMP_NTZ",
    exp.DataType.Type.TIME: "TIME",
    **dict.fromkeys((exp.DataType.Type.VARCHAR, exp.DataType.Type.TEXT, exp.DataType.Type.CHAR), "VARCHAR"),
    **dict.fromkeys((exp.DataType.Type.NVARCHAR, exp.DataType.Type.NCHAR), "VARCHAR"),
}
_STRUCTURED = (exp.DataType.Type.ARRAY, exp.DataType.Type.OBJECT)
# The scale of a timestamp or time without one.
_FULL_SCALE = "9"
# Values that are never NULL.
_PRESENT = (
    *(exp.Literal, exp.HexString, exp.Count, exp.CountIf, exp.RowNumber, exp.Rank, exp.DenseRank),
    *(exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.Localtimestamp, exp.Array, exp.Struct),
    *(exp.Rand, exp.Randstr, exp.Uuid, exp.Seq1, exp.Seq2, exp.Seq4, exp.Seq8),
)
_COUNTERS: dict[type[exp.Expr], str] = {
    exp.Seq1: "NUMBER(3)",
    exp.Seq2: "NUMBER(5)",
    exp.Seq4: "NUMBER(10)",
    exp.Seq8: "NUMBER(19)",
}
# Values that are NULL only if one of their operands is. Snowflake describes TRUE, comparisons, IS NULL and what AND, OR and NOT
# make of them as columns that may be NULL.
_STRICT = (
    *(exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.DPipe, exp.Concat, exp.Upper, exp.Lower, exp.Abs),
    *(exp.Cast, exp.ToNumber, exp.ToDouble, exp.ToChar, exp.ToBinary, exp.Time, exp.TsOrDsToDate, exp.TsOrDsToTime),
)
# The columns of VALUES without names.
_UNNAMED = "COLUMN{}"
_LOCAL = (exp.CurrentTimestamp, exp.Localtimestamp, exp.TimestampLtzFromParts)
_ZONED = (exp.ConvertTimezone, exp.TimestampTzFromParts)
# Functions whose result has the type of their first argument.
_SAME = (
    *(exp.Alias, exp.Paren, exp.Window, exp.WithinGroup, exp.Filter, exp.Coalesce, exp.IgnoreNulls, exp.Nullif),
    *(exp.DateAdd, exp.DateSub, exp.TimeAdd, exp.DateTrunc, exp.TimestampTrunc, exp.AddMonths, exp.TimeSlice),
    *(exp.Max, exp.Min, exp.Greatest, exp.Least, exp.AnyValue, exp.ArgMax, exp.ArgMin),
    *(exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue, exp.Add, exp.Sub),
)


def of_query(session: Session, query: exp.Expr, ctes: Mapping[str, Kinds] | None = None) -> Kinds:
    """The types of the columns of a query's result that DuckDB does not distinguish."""
    known = dict(ctes or {})
    for cte in query.args["with_"].expressions if query.args.get("with_") else ():
        known[_name(cte.args["alias"].this)] = of_query(session, cte.this, known)
    if isinstance(query, exp.SetOperation):
        return _of_both(query, of_query(session, query.this, known), of_query(session, query.expression, known))
    if isinstance(query, exp.Subquery):
        return of_query(session, query.this, known)
    if not isinstance(query, exp.Select):
        return {}
    sources = _sources(session, query, known)
    found: dict[str, str] = {}
    for projection in query.expressions:
        if projection.is_star:
            found.update(_starred(projection, sources))
        elif (kind := _of_value(projection, sources)) is not None:
            found[_column_name(projection)] = kind
    grouped = query.args.get("group")
    subtotals = grouped is not None and grouped.find(exp.Rollup, exp.Cube, exp.GroupingSets) is not None
    return _optional(found) if subtotals else found


def _of_both(query: exp.SetOperation, left: Kinds, right: Kinds) -> Kinds:
    """The columns of the left side. A UNION's are NOT NULL where they are so on both sides."""
    plain = _plain(left)
    required = [name for name, kind in left.items() if kind.endswith(REQUIRED)]
    if isinstance(query, exp.Union):
        names, others = _projections(query.this), _projections(query.expression)
        known = names is not None and others is not None and not query.args.get("by_name")
        partner = dict(zip(names or [], others or [], strict=False)) if known else {}
        required = [name for name in required if right.get(partner.get(name, ""), "").endswith(REQUIRED)]
    return {**plain, **{name: f"{plain.get(name, '')}{REQUIRED}" for name in required}}


def _projections(query: exp.Expr) -> list[str] | None:
    """The names of a query's columns in their order; ``None`` where a star hides them."""
    if isinstance(query, exp.Subquery | exp.SetOperation):
        return _projections(query.this)
    if not isinstance(query, exp.Select) or any(projection.is_star for projection in query.expressions):
        return None
    return [_column_name(projection) for projection in query.expressions]


def _column_name(projection: exp.Expr) -> str:
    identifier = projection.args.get("alias") if isinstance(projection, exp.Alias) else projection.this
    if isinstance(projection, exp.Alias | exp.Column) and isinstance(identifier, exp.Identifier):
        return stored(identifier)
    return named(projection.copy())


def _plain(kinds: Kinds) -> Kinds:
    """The types without sizes and NOT NULL."""
    found = {name: kind.removesuffix(REQUIRED).partition("(")[0] for name, kind in kinds.items()}
    return {name: kind for name, kind in found.items() if kind not in ("", "NUMBER", *_SIZED.values())}


def _optional(kinds: Kinds) -> Kinds:
    """The types without NOT NULL."""
    return {name: kind.removesuffix(REQUIRED) for name, kind in kinds.items()}


def _sources(session: Session, query: exp.Select, ctes: Mapping[str, Kinds]) -> dict[str, Kinds]:
    start = query.args.get("from_")
    return _joined(session, start.this if start is not None else None, query.args.get("joins") or [], ctes)


def _joined(
    session: Session, start: exp.Expr | None, joins: list[exp.Expr], ctes: Mapping[str, Kinds]
) -> dict[str, Kinds]:
    found = {} if start is None else _source(session, start, ctes, 0)
    for join in joins:
        side = str(join.args.get("side") or "").upper()
        joined = _source(session, join.this, ctes, len(found))
        if side in ("RIGHT", "FULL"):
            found = {name: _optional(kinds) for name, kinds in found.items()}
        if side in ("LEFT", "FULL") or str(join.args.get("method") or "").upper() == "ASOF":
            joined = {name: _optional(kinds) for name, kinds in joined.items()}
        found |= joined
    return found


def _source(session: Session, item: exp.Expr, ctes: Mapping[str, Kinds], number: int) -> dict[str, Kinds]:
    alias = _name(item.args["alias"].this) if item.args.get("alias") and item.args["alias"].this else ""
    if isinstance(item, exp.Table) and isinstance(item.this, exp.Identifier):
        name = stored(item.this)
        local = ctes.get(name) if not item.args.get("db") else None
        kinds = local if local is not None else of_table(session, item)
        return {alias or name: kinds if not item.args.get("pivots") else _plain(kinds)}
    if (
        isinstance(item, exp.Subquery)
        and isinstance(item.this, exp.Subquery | exp.Table)
        and item.this.args.get("joins")
    ):
        inner = _joined(session, item.this, item.this.args["joins"], ctes)
        return {alias: _all_columns(inner)} if alias else inner
    if isinstance(item, exp.Subquery):
        kinds = of_query(session, item.this, ctes)
        return {alias or f"#{number}": kinds if not item.args.get("pivots") else _plain(kinds)}
    if isinstance(item, exp.Values):
        return {alias or f"#{number}": _of_values(item)}
    return {}


def _of_values(values: exp.Values) -> Kinds:
    """The columns of VALUES: of the type that all rows have, and NOT NULL where no row has NULL."""
    rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in values.expressions]
    columns = list(zip(*rows, strict=False))
    alias = values.args.get("alias")
    names = [stored(name) for name in (alias.columns if alias is not None else ()) if isinstance(name, exp.Identifier)]
    if len(names) != len(columns):
        names = [_UNNAMED.format(at) for at in range(1, len(columns) + 1)]
    return {name: kind for name, cells in zip(names, columns, strict=True) if (kind := _of_cells(cells))}


def _of_cells(cells: tuple[exp.Expr, ...]) -> str:
    kinds = {_as_operand(_kind(cell, {})) or "" for cell in cells if not isinstance(cell, exp.Null)}
    return (kinds.pop() if len(kinds) == 1 else "") + (
        REQUIRED if all(_is_required(cell, {}) for cell in cells) else ""
    )


def of_table(session: Session, table: exp.Table) -> Kinds:
    name = table_name(table)
    if (name.database or session.database) is None or (name.schema or session.schema) is None:
        return {}
    found: Kinds = session.account.state(TableProperties).nested_types.get(_key(session, session.path(name)), {})
    return found


def _key(session: Session, path: Path) -> Path:
    local = session.temporary.get(path)
    return path if local is None else ("temp", "main", local)


def _starred(star: exp.Expr, sources: Mapping[str, Kinds]) -> Kinds:
    if isinstance(star, exp.Column) and star.args.get("table"):
        return sources.get(_name(star.args["table"]), {})
    return _all_columns(sources)


def _all_columns(sources: Mapping[str, Kinds]) -> Kinds:
    """The columns of all sources. One that several have is NOT NULL where it is so in each."""
    found: dict[str, str] = {}
    for kinds in sources.values():
        for column, kind in kinds.items():
            both = kind.endswith(REQUIRED) and found.get(column, kind).endswith(REQUIRED)
            found[column] = kind if both else kind.removesuffix(REQUIRED)
    return found


def _of_value(value: exp.Expr, sources: Mapping[str, Kinds]) -> str | None:
    if isinstance(value, exp.Alias | exp.Paren):
        return _of_value(value.this, sources)
    if isinstance(value, exp.Parameter):
        return _of_number(value, sources)
    if isinstance(value, exp.Column):
        return _of_column(value, sources)
    return f"{_kind(value, sources) or ''}{REQUIRED if _is_required(value, sources) else ''}" or None


def _of_column(value: exp.Column, sources: Mapping[str, Kinds]) -> str | None:
    if not isinstance(value.this, exp.Identifier):
        return None
    owner = _name(value.args["table"]) if value.args.get("table") else None
    tables = sources.values() if owner is None else (sources.get(owner, {}),)
    return next((kinds[stored(value.this)] for kinds in tables if stored(value.this) in kinds), None)


def _of_number(value: exp.Parameter, sources: Mapping[str, Kinds]) -> str | None:
    """``$1`` of VALUES without names."""
    return next(iter(sources.values())).get(_UNNAMED.format(value.name)) if len(sources) == 1 else None


def _is_required(value: exp.Expr, sources: Mapping[str, Kinds]) -> bool:
    if isinstance(value, exp.Alias | exp.Paren | exp.Column | exp.Parameter):
        return (_of_value(value, sources) or "").endswith(REQUIRED)
    if isinstance(value, _PRESENT):
        return True
    if isinstance(value, exp.Window):
        return isinstance(value.this, _PRESENT)
    if isinstance(value, exp.Coalesce):
        return any(_is_required(part, sources) for part in (value.this, *value.expressions))
    # sqlglot calls concatenation safe, too; in Snowflake it is NULL where a part is.
    safe = value.args.get("safe") and not isinstance(value, exp.Concat | exp.DPipe)
    tried = safe or isinstance(value, exp.TryCast)
    if tried or not isinstance(value, _STRICT):
        return False
    return all(_is_required(part, sources) for part in value.iter_expressions() if not isinstance(part, exp.DataType))


def _kind(value: exp.Expr, sources: Mapping[str, Kinds]) -> str | None:
    if isinstance(value, exp.Literal):
        return _of_literal(value)
    if isinstance(value, exp.Alias | exp.Paren | exp.Column | exp.Parameter):
        found = _of_value(value, sources)
        return None if found is None else found.removesuffix(REQUIRED) or None
    if isinstance(value, _SAME):
        found = _kind(value.this, sources) if isinstance(value.this, exp.Expr) else None
        return _as_operand(found)
    if isinstance(value, exp.Cast):
        return _declared(value.to)
    if isinstance(value, exp.If | exp.Case):
        branch = value if isinstance(value, exp.If) else value.args["ifs"][0]
        return _as_operand(_kind(branch.args["true"], sources))
    if isinstance(value, exp.UnixToTime | exp.StrToTime) and value.args.get("target_type") is not None:
        return _DECLARED.get(value.args["target_type"].this)
    if isinstance(value, _LOCAL):
        return "TIMESTAMP_LTZ"
    if isinstance(value, _ZONED):
        return "TIMESTAMP_TZ"
    if isinstance(value, exp.Anonymous):
        return _NAMED.get(str(value.this).upper())
    if (counter := _COUNTERS.get(type(value))) is not None:
        return counter
    return "ARRAY" if isinstance(value, _ARRAYS) else "OBJECT" if isinstance(value, _OBJECTS) else None


def _of_literal(value: exp.Literal) -> str | None:
    if value.is_string:
        return f"VARCHAR({len(value.name)})" if value.name else None
    return f"NUMBER({len(value.name)})" if value.name.isdecimal() else None


def _as_operand(kind: str | None) -> str | None:
    """The type of a result that has the kind of an operand, and a size of its own."""
    return None if kind is None or kind.startswith(("VARCHAR", "NUMBER")) else kind


def _declared(type_: exp.DataType) -> str | None:
    """A type as written, as far as DuckDB's type does not say it."""
    kind = _DECLARED.get(type_.this)
    if type_.this in _STRUCTURED or not type_.expressions:
        return kind
    size = type_.expressions[0].name
    sized = kind or _SIZED.get(type_.this)
    if sized is None or (sized != "VARCHAR" and size == _FULL_SCALE):
        return kind
    return f"{sized}({size})"


def _name(identifier: exp.Expr) -> str:
    return stored(identifier) if isinstance(identifier, exp.Identifier) else str(identifier.name).upper()


def of_statement(session: Session, expression: exp.Expr) -> Kinds:
    """The columns of a query's result, or those that CREATE TABLE or CREATE VIEW defines."""
    if isinstance(expression, exp.Query):
        return of_query(session, expression)
    if (counts := merge.result_columns(expression)) is not None:
        return {name: REQUIRED for name, _ in counts}
    if not isinstance(expression, exp.Create) or expression.args.get("kind") not in ("TABLE", "VIEW"):
        return {}
    declared, query = expression.this, expression.expression
    made = of_query(session, query) if isinstance(query, exp.Query) else {}
    if expression.args["kind"] == "TABLE":
        made = _of_new_table(made)
        made = {**made, **{name: f"{made.get(name, '')}{REQUIRED}" for name in declared_columns.required(expression)}}
    if not isinstance(declared, exp.Schema):
        return made
    columns = [column for column in declared.expressions if isinstance(column, exp.ColumnDef | exp.Identifier)]
    selected = query.selects if isinstance(query, exp.Query) and len(query.selects) == len(columns) else []
    found = {}
    for at, column in enumerate(columns):
        given = made.get(named(selected[at].copy())) if selected and not selected[at].is_star else None
        kind = _of_definition(column) if isinstance(column, exp.ColumnDef) and column.kind is not None else given
        if kind is not None:
            found[stored(column if isinstance(column, exp.Identifier) else column.this)] = kind
    return found


def _of_new_table(kinds: Kinds) -> Kinds:
    """CREATE TABLE AS takes neither NOT NULL nor, here, sizes of texts and numbers from the query."""
    found = _optional(kinds)
    return {name: kind for name, kind in found.items() if kind and _as_operand(kind)}


def _of_definition(column: exp.ColumnDef) -> str | None:
    """A column as CREATE TABLE or ADD COLUMN defines it."""
    required = any(
        isinstance(constraint.kind, exp.NotNullColumnConstraint) and not constraint.kind.args.get("allow_null")
        for constraint in column.args.get("constraints") or []
    )
    kind = _declared(column.kind) if column.kind is not None else None
    return f"{kind or ''}{REQUIRED if required else ''}" or None


def keep(session: Session, expression: exp.Expr, kinds: Kinds) -> None:
    """Store the columns of a new, altered or renamed table or view."""
    table = expression.find(exp.Table)
    if not isinstance(expression, exp.Create | exp.Alter) or expression.args.get("kind") not in ("TABLE", "VIEW"):
        return
    if table is None:
        return
    known, path = session.account.state(TableProperties).nested_types, session.path(table_name(table))
    if isinstance(expression, exp.Create):
        made = expression.args["kind"] == "TABLE" and expression.find(exp.TemporaryProperty)
        known[("temp", "main", table.name) if made else path] = kinds
        return
    for action in expression.args.get("actions") or []:
        if isinstance(action, exp.AlterRename):
            known[session.path(table_name(action.this))] = known.pop(path, {})
        elif (columns := _altered(known.get(_key(session, path), {}), action)) is not None:
            known[_key(session, path)] = columns


def _altered(columns: Kinds, action: exp.Expr) -> Kinds | None:
    """The columns after an action of ALTER TABLE; ``None`` where it changes nothing that is kept."""
    if isinstance(action, exp.ColumnDef) and action.kind is not None:
        return _changed(columns, stored(action.this), _of_definition(action))
    if isinstance(action, exp.RenameColumn):
        old, new = stored(action.this.this), stored(action.args["to"].this)
        return {new if name == old else name: kind for name, kind in columns.items()}
    if not isinstance(action, exp.AlterColumn):
        return None
    name = stored(action.this.this if isinstance(action.this, exp.Column) else action.this)
    known = columns.get(name, "")
    kind, required = known.removesuffix(REQUIRED), known.endswith(REQUIRED)
    if isinstance(action.args.get("dtype"), exp.DataType):
        kind = _declared(action.args["dtype"]) or ""
    elif action.args.get("allow_null") is not None:
        required = not action.args["allow_null"]
    return _changed(columns, name, f"{kind}{REQUIRED if required else ''}" or None)


def _changed(columns: Kinds, name: str, kind: str | None) -> Kinds:
    others = {other: known for other, known in columns.items() if other != name}
    return others if kind is None else {**others, name: kind}


def shown(session: Session, expression: exp.Expr, result: Result, kinds: Kinds) -> Result:
    """The result with the types of its columns, also in the rows of DESC TABLE and DESC VIEW."""
    if isinstance(expression, exp.Describe) and isinstance(expression.this, exp.Table):
        return _described(result, of_table(session, expression.this))
    return replace(result, nested=dict(kinds)) if kinds else result


def _described(result: Result, kinds: Kinds) -> Result:
    if not kinds or "type" not in result.table.column_names:
        return result
    rows = result.table.to_pylist()
    for row in rows:
        kind = kinds.get(row["name"], "").removesuffix(REQUIRED)
        if kind and _as_operand(kind):
            row["type"] = f"{kind}(9)" if kind in ("TIMESTAMP_LTZ", "TIMESTAMP_TZ") else kind
    return replace(result, table=pa.Table.from_pylist(rows, schema=result.table.schema))
