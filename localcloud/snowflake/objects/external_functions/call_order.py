"""Reordering of external function calls in a SELECT list, so that all calls share full batches.

A rewritten query calls ``fetch(send(row text))``. Where the query's structure allows it, it is split into three steps:
select the rows with the text of each call, send all rows, then fetch the answers. Elsewhere (in WHERE, in a branch of
CASE, around aggregates) a call is kept as it is, with batches of at most the rows that DuckDB passes at a time.

An ORDER BY separates the steps. It is the only operator that DuckDB does not stream and through which it still pushes
filters and unused columns, so rows that are filtered outside and answers that are not read are never sent.
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.objects.external_functions.registry import FETCHES

_SOURCES = (exp.From, exp.Join, exp.Merge)
_UNSUPPORTED_CLAUSES = ("group", "having", "distinct", "qualify", "connect", "windows", "into", "match", "pivots")
_AGGREGATES = frozenset({"SUM", "AVG", "VAR_SAMP", "VAR_POP", "STDDEV_SAMP", "STDDEV_POP", "MEDIAN"})
_SCOPES = (exp.Query, exp.Window, exp.AggFunc, exp.Lambda)
_FIRST_ONLY = (exp.If, exp.Coalesce, exp.And, exp.Or, exp.Nvl2)


def gather(expression: exp.Expr) -> exp.Expr:
    """Reorder the calls of every SELECT in the statement, innermost first."""
    for select in reversed(list(expression.find_all(exp.Select))):
        new = _split(select)
        if new is None:
            continue
        if select is expression:
            return new
        select.replace(new)
    return expression


def _split(select: exp.Select) -> exp.Select | None:
    items = [item for item in select.expressions if any(_hoistable(call, item) for call in _calls(item))]
    if not items or not _is_plain(select):
        return None
    names = [_name(item) for item in select.expressions]
    stars = [name for name in names if name is None]
    if stars and (len(names) != len(items) + 1 or select.args.get("joins") or not _is_sole_star(select)):
        return None
    known = [name.upper() for name in names if name is not None]
    if len(set(known)) < len(known) or _reused(select, items):
        return None
    order = _Order(select, items)
    return None if order.is_mixed else _Steps(select, items, order).build()


def _calls(node: exp.Expr) -> list[exp.Anonymous]:
    return [call for call in node.find_all(exp.Anonymous) if _is_call(call)]


def _is_call(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and str(node.this).endswith(FETCHES)


def _hoistable(call: exp.Expr, item: exp.Expr) -> bool:
    """Whether the call runs for every row of the SELECT and contains no other call."""
    if len(_calls(call)) > 1:
        return False
    node = call
    while node is not item:
        parent = node.parent
        if parent is None or isinstance(parent, _SCOPES):
            return False
        if isinstance(parent, _FIRST_ONLY) and node.arg_key != "this":
            return False
        if isinstance(parent, exp.Case) and not (node.arg_key == "this" or (node.arg_key == "ifs" and not node.index)):
            return False
        node = parent
    return True


def _is_plain(select: exp.Select) -> bool:
    """Whether the SELECT has a source, no grouping, and a position in which a nested query is allowed."""
    if select.args.get("from_") is None or any(select.args.get(part) for part in _UNSUPPORTED_CLAUSES):
        return False
    if any(_is_obstacle(node) for item in select.expressions for node in item.walk()):
        return False
    parent = select.parent
    if isinstance(parent, exp.Subquery):
        return isinstance(parent.parent, _SOURCES)
    if isinstance(parent, exp.CTE):
        return not (parent.parent is not None and parent.parent.args.get("recursive"))
    if isinstance(parent, exp.SetOperation):
        return not select.args.get("order") and not select.args.get("limit")
    return parent is None or isinstance(parent, exp.Create | exp.Insert)


def _is_obstacle(node: exp.Expr) -> bool:
    """Expressions that cannot be split: aggregates, windows, and subqueries, whose columns have another scope."""
    if isinstance(node, exp.Anonymous):
        return str(node.this).upper() in _AGGREGATES
    return isinstance(node, exp.AggFunc | exp.Window | exp.UDTF | exp.Query)


def _name(item: exp.Expr) -> str | None:
    """The column's name in DuckDB; ``None`` for a star."""
    identifier = item.args.get("alias") if isinstance(item, exp.Alias) else item.this
    if item.is_star or not isinstance(identifier, exp.Identifier):
        return None
    name: str = identifier.this
    return name if identifier.args.get("quoted") else name.upper()


def _is_sole_star(select: exp.Select) -> bool:
    """``*`` or ``t.*`` before or after all calls, without EXCLUDE or similar clauses."""
    stars = [index for index, item in enumerate(select.expressions) if item.is_star]
    if len(stars) != 1 or stars[0] not in (0, len(select.expressions) - 1):
        return False
    star = select.expressions[stars[0]]
    star = star.this if isinstance(star, exp.Column) else star
    return isinstance(star, exp.Star) and not any(star.args.values())


def _reused(select: exp.Select, items: list[exp.Expr]) -> bool:
    """Whether another part of the SELECT reads a call's alias. ``_Order`` handles ORDER BY."""
    for item in items:
        alias = (_name(item) or "").upper()
        for column in select.find_all(exp.Column):
            if column.table or column.name.upper() != alias or _inside(column, item):
                continue
            if not (order := select.args.get("order")) or not _inside(column, order):
                return True
    return False


def _inside(node: exp.Expr, outer: exp.Expr) -> bool:
    found: exp.Expr | None = node
    while found is not None and found is not outer:
        found = found.parent
    return found is outer


class _Order:
    """ORDER BY of the rows or of the answers. ``is_mixed`` means that it is neither, so the query cannot be split."""

    def __init__(self, select: exp.Select, items: list[exp.Expr]) -> None:
        ordered = select.args["order"].expressions if select.args.get("order") else []
        keys = [key.this if isinstance(key, exp.Ordered) else key for key in ordered]
        aliases = {(_name(item) or "").upper() for item in items}
        self.exists = bool(keys)
        self.of_answers = any(self._reads(key, aliases, select, items) for key in keys)
        plain = all((isinstance(key, exp.Column) and not key.table) or _position(key) is not None for key in keys)
        starred = any(item.is_star for item in select.expressions) and any(_position(key) for key in keys)
        self.is_mixed = starred or (self.of_answers and not plain)

    @staticmethod
    def _reads(key: exp.Expr, aliases: set[str], select: exp.Select, items: list[exp.Expr]) -> bool:
        position = _position(key)
        if position is not None:
            return any(select.expressions[position - 1 : position][0] is item for item in items)
        return bool(_calls(key)) or any(
            not column.table and column.name.upper() in aliases for column in key.find_all(exp.Column)
        )


def _position(key: exp.Expr) -> int | None:
    return int(key.name) if isinstance(key, exp.Literal) and not key.is_string and key.name.isdecimal() else None


class _Steps:
    """Splits the SELECT; ``build`` assembles the steps."""

    def __init__(self, select: exp.Select, items: list[exp.Expr], order: _Order) -> None:
        self._select = select.copy()
        self._select.set("expressions", [])
        self._order = order
        self._hidden: list[exp.Expr] = []
        self._sends: list[exp.Expr] = []
        self._outer = [self._answer(item) if item in items else _passed_through(item) for item in select.expressions]
        self._kept = [item.copy() for item in select.expressions if item not in items]

    def _hide(self, value: exp.Expr) -> exp.Expr:
        name = f"_hidden_{len(self._hidden)}"
        self._hidden.append(exp.alias_(value, name, quoted=True))
        return _column(name)

    def _answer(self, item: exp.Expr) -> exp.Expr:
        """The column of the last step. The values that it reads become hidden columns of the first step."""
        answer = exp.Alias(this=item.this.copy(), alias=exp.to_identifier(_name(item), quoted=True))
        for call in _calls(answer):
            if not _hoistable(call, answer):
                continue
            send = call.expressions[1]
            ticket = self._hide(send.expressions[1].copy())
            sent = exp.Anonymous(this=send.this, expressions=[send.expressions[0].copy(), ticket.copy()])
            self._sends.append(exp.alias_(sent, ticket.name, quoted=True))
            send.replace(ticket)
        hidden = {id(column) for column in answer.find_all(exp.Column) if column.name.startswith("_hidden_")}
        for column in list(answer.find_all(exp.Column)):
            if id(column) not in hidden and not _is_lambda_value(column):
                column.replace(self._hide(column.copy()))
        return answer

    def build(self) -> exp.Select:
        first, last = self._select, exp.Select()
        if self._order.of_answers:
            for part in ("order", "limit", "offset"):
                last.set(part, first.args.get(part))
                first.set(part, None)
        first.set("expressions", [*self._kept, *self._hidden])
        names = [item.alias for item in self._hidden]
        if self._order.exists and not self._order.of_answers:
            number = exp.Window(this=exp.RowNumber())
            first = exp.select("*", exp.alias_(number, "_order", quoted=True)).from_(_rows(first))
            names.append("_order")
            last.set("order", exp.Order(expressions=[exp.Ordered(this=_column("_order"))]))
        ticket = _column(self._sends[0].alias)
        second = exp.Select(expressions=[exp.Star(replace=self._sends)]).from_(_rows(first))
        second.set("order", exp.Order(expressions=[exp.Ordered(this=ticket)]))
        last.set("expressions", [_without(item, names) for item in self._outer])
        return last.from_(_rows(second))


def _is_lambda_value(column: exp.Expr) -> bool:
    look = column.find_ancestor(exp.Lambda)
    while look is not None:
        if any(value.name == column.name for value in look.expressions):
            return True
        look = look.find_ancestor(exp.Lambda)
    return False


def _column(name: str) -> exp.Column:
    return exp.Column(this=exp.to_identifier(name, quoted=True))


def _rows(query: exp.Query) -> exp.Subquery:
    return exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier("_rows", quoted=True)))


def _passed_through(item: exp.Expr) -> exp.Expr:
    """A column of the first step, passed through to the last."""
    name = _name(item)
    return exp.Star() if name is None else _column(name)


def _without(item: exp.Expr, names: list[str]) -> exp.Expr:
    if not isinstance(item, exp.Star):
        return item
    return exp.Star(**{"except_": [exp.to_identifier(name, quoted=True) for name in names]})
