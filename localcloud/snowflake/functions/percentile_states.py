"""APPROX_PERCENTILE_ACCUMULATE, _COMBINE and _ESTIMATE over states of centroids, each a value with its weight.

A state of more than 1,000 values has 1,000 centroids; of fewer values, the estimates are those of PERCENTILE_CONT. A state that
is combined from others keeps all their centroids.
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.snowflake.failures import compilation

_CENTROIDS = 1000
MACROS = {
    "_centroid_total(c)": "list_sum(list_transform(c, lambda e: e.w::DOUBLE))",
    "_state_of_centroids(c)": """CASE WHEN c IS NOT NULL THEN ('{"state":[' || array_to_string(list_transform(c,
        lambda e: printf('%.15e,%.15e', e.v, e.w)), ',') || '],"type":"tdigest","version":1}')::JSON END""",
    "_percentile_steps(n)": "list_transform(range(n), lambda i: (i + 0.5) / n)",
    # The values themselves, or as many of their percentiles; ``n`` is how many values there are.
    "_percentile_state(values, percentiles, n)": f"""_state_of_centroids(CASE WHEN n <= {_CENTROIDS}
        THEN list_transform(list_sort(values), lambda x: {{'v': x::DOUBLE, 'w': 1::DOUBLE}})
        ELSE list_transform(percentiles, lambda x: {{'v': x::DOUBLE, 'w': n / {_CENTROIDS}}}) END)""",
    "_state_numbers(s)": "list_transform(json_extract(s, '$.state[*]'), lambda e: e::VARCHAR::DOUBLE)",
    "_paired_numbers(n)": "list_transform(range(0, len(n), 2), lambda i: {'v': n[i + 1], 'w': n[i + 2]})",
    "_centroids_of_state(s)": "_paired_numbers(_state_numbers(s))",
    "_combined_states(l)": """_state_of_centroids(
        list_sort(flatten(list_transform(l, lambda s: _centroids_of_state(s)))))""",
    # The position of each centroid among all values: the middle of the positions that it stands for.
    "_centroid_ranks(c)": """list_transform(c, lambda e, i:
        list_sum(list_transform(c[1:i], lambda b: b.w::DOUBLE)) - e.w::DOUBLE + (e.w::DOUBLE - 1) / 2)""",
    "_between_centroids(c, r, q, j)": """CASE WHEN j = 0 THEN c[1].v::DOUBLE WHEN j = len(c) THEN c[j].v::DOUBLE
        ELSE c[j].v::DOUBLE + (c[j + 1].v::DOUBLE - c[j].v::DOUBLE) * (q - r[j]) / (r[j + 1] - r[j]) END""",
    # In lists of one element, so that each part is computed once.
    "_percentile_among(c, p)": """list_transform(
        [{'c': c, 'r': _centroid_ranks(c), 'q': p * (_centroid_total(c) - 1)}],
        lambda k: _between_centroids(k.c, k.r, k.q, len(list_filter(k.r, lambda x: x <= k.q))))[1]""",
    "_percentile_estimate(s, p)": """list_transform([{'c': _centroids_of_state(s), 'p': p::DOUBLE}],
        lambda g: _percentile_among(g.c, g.p))[1]""",
}


def rewrite(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.ApproxPercentileAccumulate):
        value = exp.cast(node.this.copy(), "DOUBLE")
        steps = _call("_percentile_steps", exp.Literal.number(_CENTROIDS))
        percentiles = _call("QUANTILE_CONT", value.copy(), steps)
        return _call("_percentile_state", _listed(value), percentiles, _call("COUNT", value.copy()))
    if isinstance(node, exp.ApproxPercentileCombine):
        return _call("_combined_states", _listed(node.this.copy()))
    if isinstance(node, exp.ApproxPercentileEstimate):
        share = node.args["percentile"]
        _check(share)
        return _call("_percentile_estimate", node.this.copy(), share.copy())
    return node


def _listed(value: exp.Expr) -> exp.Expr:
    """All values in a list, without NULL."""
    known = exp.Where(this=exp.Not(this=exp.Is(this=value.copy(), expression=exp.null())))
    return exp.Filter(this=_call("LIST", value), expression=known)


def _check(share: exp.Expr) -> None:
    """The share that a literal names is from 0 to 1."""
    written = share.this if isinstance(share, exp.Cast) else share
    inner = written.this if isinstance(written, exp.Neg) else written
    if not isinstance(inner, exp.Literal) or inner.is_string:
        return
    value = -float(inner.name) if isinstance(written, exp.Neg) else float(inner.name)
    if not 0 <= value <= 1:
        raise compilation(1044, "22023", f"Invalid value [{value}] for function 'APPROX_PERCENTILE_ESTIMATE'")


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(arguments))
