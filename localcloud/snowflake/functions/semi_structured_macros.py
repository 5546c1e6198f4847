"""Macros for Snowflake's semi-structured functions over DuckDB's JSON, created in every session.

They are in the temporary schema, where DuckDB looks up unqualified names from any database, so a view that uses one works in every
session.
"""

from __future__ import annotations

from localcloud.snowflake.functions import numeric_macros

# ``_items``: the elements of an array as JSON. A lambda may not contain a subquery, so its inputs are computed outside.
_SCALAR = {
    "_items(a)": "json_extract(a, '$[*]')",
    "_filled(a)": "list_filter(_items(a), lambda v: json_type(v) <> 'NULL')",
    "_variant(x)": "CASE WHEN x IS NULL THEN NULL ELSE to_json(x) END",
    "_parsed(x)": """CASE upper(trim(x::VARCHAR)) WHEN '' THEN NULL WHEN 'NULL' THEN 'null'::JSON
        ELSE json(x) END""",
    "_text(x)": "CASE WHEN typeof(x) = 'JSON' THEN json_extract_string(to_json(x), '$') ELSE CAST(x AS VARCHAR) END",
    "_text_that_fits(x, n)": "CASE WHEN length(x) <= n THEN x END",
    # Fails through a cast, because DuckDB rejects GROUP BY over an expression that calls error().
    "_text_within(x, n)": "CASE WHEN length(x) > n THEN ('Text too long: ' || x)::INTEGER::VARCHAR ELSE x END",
    "_kind(x)": """CASE json_type(_variant(x))
        WHEN 'UBIGINT' THEN 'INTEGER' WHEN 'BIGINT' THEN 'INTEGER' WHEN 'HUGEINT' THEN 'INTEGER'
        WHEN 'NULL' THEN 'NULL_VALUE'
        WHEN 'DOUBLE' THEN 'DECIMAL'
        ELSE json_type(_variant(x)) END""",
    "_to_array(x)": """CASE WHEN x IS NULL OR json_type(to_json(x)) = 'NULL' THEN NULL
        WHEN json_type(to_json(x)) = 'ARRAY' THEN to_json(x) ELSE json_array(x) END""",
    "_to_object(x)": """CASE WHEN x IS NULL OR json_type(to_json(x)) = 'NULL' THEN NULL
        WHEN json_type(to_json(x)) = 'OBJECT' THEN to_json(x)
        ELSE error('Failed to cast variant value ' || to_json(x)::VARCHAR || ' to OBJECT')::JSON END""",
    "_array_size(a)": "CASE json_type(_variant(a)) WHEN 'ARRAY' THEN json_array_length(to_json(a))::BIGINT END",
    "_array_contains(a, x)": "list_contains(_items(a), to_json(x))",
    "_array_position(a, x)": "nullif(list_position(_items(a), to_json(x)), 0) - 1",
    "_array_append(a, x)": "to_json(list_append(_items(a), to_json(x)))",
    "_array_prepend(a, x)": "to_json(list_prepend(to_json(x), _items(a)))",
    "_array_cat(a, b)": "CASE WHEN a IS NULL OR b IS NULL THEN NULL ELSE to_json(list_concat(_items(a), _items(b))) END",
    "_array_insert(a, p, x)": """to_json(list_concat(
        list_append(_items(a)[1:_from(a, p)], to_json(x)), _items(a)[_from(a, p) + 1:]))""",
    "_array_remove_at(a, p)": "to_json(list_concat(_items(a)[1:_from(a, p)], _items(a)[_from(a, p) + 2:]))",
    "_array_remove(a, x)": "to_json(list_filter(_items(a), lambda v: v <> to_json(x)))",
    # A position as the number of elements before it; negative positions count from the end.
    "_from(a, p)": "CASE WHEN p < 0 THEN greatest(json_array_length(a)::BIGINT + p, 0) ELSE p END",
    "_array_slice(a, f, t)": "to_json(_items(a)[_from(a, f) + 1:_from(a, t)])",
    "_array_compact(a)": "to_json(_filled(a))",
    "_array_distinct(a)": """to_json((SELECT list_filter(l, lambda v, i: list_position(l, v) = i)
        FROM (SELECT _items(a) AS l)))""",
    "_array_reverse(a)": "to_json(list_reverse(_items(a)))",
    "_array_flatten(a)": "to_json(flatten(list_transform(_items(a), lambda v: _items(v))))",
    "_array_intersection(a, b)": """to_json((SELECT list_filter(l, lambda v, i: _count(l[1:i], v) <= _count(r, v))
        FROM (SELECT _items(a) AS l, _items(b) AS r)))""",
    "_array_except(a, b)": """to_json((SELECT list_filter(l, lambda v, i: _count(l[1:i], v) > _count(r, v))
        FROM (SELECT _items(a) AS l, _items(b) AS r)))""",
    "_count(l, x)": "len(list_filter(l, lambda w: w = x))",
    "_arrays_overlap(a, b)": "list_has_any(_items(a), _items(b))",
    "_array_to_string(a, s)": """CASE WHEN s IS NULL THEN NULL ELSE
        array_to_string(list_transform(_items(a), lambda v: coalesce(json_extract_string(v, '$'), '')), s) END""",
    "_numeric(a)": "len(list_filter(_items(a), lambda v: json_type(v) IN ('VARCHAR', 'BOOLEAN', 'OBJECT', 'ARRAY'))) = 0",
    # Elements by their value: numbers as numbers, others as text; NULL last.
    "_ranked(a, d)": """CASE WHEN _numeric(a)
        THEN list_transform(list_sort(list_transform(_filled(a), lambda v: {'n': v::VARCHAR::DOUBLE, 't': v}), d), lambda r: r.t)
        ELSE list_sort(_filled(a), d) END""",
    "_nulls(a)": "list_filter(_items(a), lambda v: json_type(v) = 'NULL')",
    "_array_sort(a, up)": """to_json(CASE WHEN up THEN list_concat(_ranked(a, 'ASC'), _nulls(a))
        ELSE list_concat(_nulls(a), _ranked(a, 'DESC')) END)""",
    "_array_min(a)": "_ranked(a, 'ASC')[1]",
    "_array_max(a)": "_ranked(a, 'DESC')[1]",
    # DuckDB writes a key that is not a plain word as ."a key", Snowflake as ['a key'].
    "_shown_path(p)": """regexp_replace(substr(p, 2), '\\."((?:[^"\\\\]|\\\\.)*)"', '[''\\1'']', 'g')""",
    "_strtok(s, d)": """CASE WHEN s IS NULL OR d IS NULL THEN NULL ELSE to_json(list_filter(
        string_split(translate(s, d, repeat(left(d, 1), len(d))), left(d, 1)), lambda p: p <> '')) END""",
    # Generators: ``g`` is the row's number, ``_unit`` a number between 0 and 1.
    "_seeded(seed, n)": "(hash(seed, n) >> 1)::BIGINT",
    "_unit(g)": "(hash(g) >> 11)::DOUBLE / 9007199254740992",
    "_uniform_whole(a, b, g)": "a + (hash(g) % (b - a + 1)::UBIGINT)::BIGINT",
    "_uniform_real(a, b, g)": "a::DOUBLE + _unit(g) * (b - a)::DOUBLE",
    "_gauss(m, d, g)": "m + d * sqrt(-2 * ln(greatest(_unit(hash(g, 1)), 1e-18))) * cos(2 * pi() * _unit(hash(g, 2)))",
    "_normal(m, d, g)": "list_transform([g], lambda v: _gauss(m, d, v))[1]",
    "_random_text(n, g)": """array_to_string(list_transform(range(n), lambda i:
        substr('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz',
            1 + (hash(i, g) % 62)::BIGINT, 1)), '')""",
    "_binary(x)": "CASE WHEN typeof(x) = 'BLOB' THEN x::BLOB ELSE unhex(x::VARCHAR) END",
    "_try_binary(x)": """CASE WHEN regexp_full_match(x::VARCHAR, '([0-9A-Fa-f]{2})*') THEN unhex(x::VARCHAR) END""",
    "_try_moment(x)": """CASE WHEN x IS NULL THEN NULL WHEN try_cast(x AS BIGINT) IS NOT NULL
        THEN to_timestamp(try_cast(x AS BIGINT))::TIMESTAMP ELSE try_cast(x AS TIMESTAMP) END""",
    "_array_range(f, t, s)": "to_json(range(f, t, s))",
    "_object_keys(o)": "to_json(json_keys(o))",
    "_object_pairs(o)": "list_zip(json_keys(o), json_extract(o, '$.*'))",
    "_object_of(l)": """CASE WHEN l IS NULL THEN NULL ELSE ('{' || array_to_string(list_transform(l,
        lambda e: to_json(e[1])::VARCHAR || ':' || e[2]::VARCHAR), ',') || '}')::JSON END""",
    "_object_only(o, l)": "_object_of(list_filter(_object_pairs(o), lambda e: list_contains(l, e[1])))",
    "_object_without(o, l)": "_object_of(list_filter(_object_pairs(o), lambda e: NOT list_contains(l, e[1])))",
    "_object_insert(o, k, x, u)": """CASE WHEN NOT u AND list_contains(json_keys(o), k)
        THEN error('Duplicate field key ''' || k || '''')::JSON
        WHEN x IS NULL THEN _object_without(o, [k])
        ELSE _object_of(list_append(list_filter(_object_pairs(o), lambda e: e[1] <> k), row(k, to_json(x)))) END""",
}
# The six columns of FLATTEN. ``base`` is DuckDB's path of the part to flatten, ``prefix`` is Snowflake's.
_FLATTENED = """
    SELECT (hash(i.root_) >> 1)::BIGINT AS "SEQ", CASE WHEN NOT e.in_array THEN e.key_ END AS "KEY",
        CASE WHEN e.at_ IS NULL THEN '' WHEN prefix = '' THEN ltrim(_shown_path(e.at_), '.')
            ELSE prefix || _shown_path(e.at_) END AS "PATH",
        CASE WHEN e.in_array THEN e.key_::BIGINT END AS "INDEX", e.value_ AS "VALUE",
        CASE WHEN coalesce(e.inside_, '$') = '$' THEN i.base_ ELSE json_extract(i.base_, e.inside_) END AS "THIS"
    FROM (SELECT root_, json_extract(root_, base) AS base_ FROM (SELECT _variant(root) AS root_) AS o) AS i
    LEFT JOIN LATERAL (
        SELECT * FROM (
            SELECT key AS key_, value AS value_, path AS inside_, fullkey AS at_, id AS number_,
                regexp_matches(fullkey, '\\[[0-9]+\\]$') AS in_array
            FROM json_tree(i.base_)
        ) AS f
        WHERE f.at_ <> '$' AND (is_recursive OR f.inside_ = '$')
            AND (mode = 'BOTH' OR (mode = 'ARRAY') = f.in_array)
    ) AS e ON TRUE
    WHERE is_outer OR e.at_ IS NOT NULL"""
_ARGUMENTS = "(root, base, prefix, is_outer, is_recursive, mode)"
_TABLE = {
    f"_flattened{_ARGUMENTS}": _FLATTENED,
    # Not where an outer table is joined: DuckDB would reverse the order inside such a join.
    f"_flattened_in_order{_ARGUMENTS}": _FLATTENED + " ORDER BY e.number_",
}

CREATE = "".join(
    f"CREATE OR REPLACE TEMP MACRO {name} AS ({body});\n" for name, body in {**_SCALAR, **numeric_macros.MACROS}.items()
) + "".join(f"CREATE OR REPLACE TEMP MACRO {name} AS TABLE {body};\n" for name, body in _TABLE.items())
