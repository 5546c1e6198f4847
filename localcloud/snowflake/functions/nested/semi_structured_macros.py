"""Macros for Snowflake's semi-structured functions over DuckDB's JSON."""

from __future__ import annotations

# ``_items``: the elements of an array as JSON. A lambda may not contain a subquery, so its inputs are computed outside.
SCALAR = {
    "_items(a)": "json_extract(a, '$[*]')",
    "_filled(a)": "list_filter(_items(a), lambda v: json_type(v) <> 'NULL')",
    "_variant(x)": "CASE WHEN x IS NULL THEN NULL ELSE to_json(x) END",
    # Snowflake reads keys without quotes.
    "_with_quoted_keys(x)": r"""regexp_replace(x, '([{,]\s*)([A-Za-z_]\w*)\s*:', '\1"\2":', 'g')""",
    "_parsed(x)": """CASE upper(trim(x::VARCHAR)) WHEN '' THEN NULL WHEN 'NULL' THEN 'null'::JSON
        ELSE json(CASE WHEN json_valid(x::VARCHAR) THEN x::VARCHAR ELSE _with_quoted_keys(x::VARCHAR) END) END""",
    # A binary as hexadecimal digits: DuckDB casts it to a text with escapes, from which the bytes are read again.
    "_text(x)": """CASE typeof(x) WHEN 'JSON' THEN json_extract_string(to_json(x), '$')
        WHEN 'BLOB' THEN hex(try_cast(CAST(x AS VARCHAR) AS BLOB))
        WHEN 'TIMESTAMP' THEN _plain_text(try_cast(x AS TIMESTAMP))
        WHEN 'TIMESTAMP WITH TIME ZONE' THEN _zoned_text(try_cast(x AS TIMESTAMPTZ)) ELSE CAST(x AS VARCHAR) END""",
    "_bytes(x)": "CASE typeof(x) WHEN 'BLOB' THEN x::BLOB ELSE unhex(x::VARCHAR) END",
    # The bytes of a text for a digest.
    "_digested(x)": "CASE typeof(x) WHEN 'BLOB' THEN x::BLOB ELSE encode(_text(x)) END",
    "_text_that_fits(x, n)": "CASE WHEN length(x) <= n THEN x END",
    # Fails through a cast, because DuckDB rejects GROUP BY over an expression that calls error().
    "_text_within(x, n)": "CASE WHEN length(x) > n THEN ('Text too long: ' || x)::INTEGER::VARCHAR ELSE x END",
    "_kind(x)": """CASE json_type(_variant(x))
        WHEN 'UBIGINT' THEN 'INTEGER' WHEN 'BIGINT' THEN 'INTEGER' WHEN 'HUGEINT' THEN 'INTEGER'
        WHEN 'NULL' THEN 'NULL_VALUE'
        WHEN 'DOUBLE' THEN 'DECIMAL'
        ELSE json_type(_variant(x)) END""",
    "_of_kind(x, kinds)": "CASE WHEN list_contains(kinds, _kind(x)) THEN x END",
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
    "_zipped(arrays, i)": """'{' || array_to_string(list_transform(arrays, lambda a, n:
        '"$' || n || '":' || coalesce(json_extract(a, '$[' || i || ']')::VARCHAR, 'null')), ',') || '}'""",
    # NULL where one of the arrays is NULL; the longest gives the length, and empty ones one object.
    "_arrays_zip(arrays)": "list_transform([arrays], lambda known: _zipped_all(known))[1]",
    "_zipped_all(arrays)": """CASE WHEN list_count(arrays) = len(arrays) THEN ('[' || array_to_string(list_transform(
        range(greatest(list_max(list_transform(arrays, lambda a: json_array_length(a)::BIGINT)), 1)),
        lambda i: _zipped(arrays, i)), ',') || ']')::JSON END""",
    "_array_intersection(a, b)": """to_json((SELECT list_filter(l, lambda v, i: _count(l[1:i], v) <= _count(r, v))
        FROM (SELECT _items(a) AS l, _items(b) AS r)))""",
    "_array_except(a, b)": """to_json((SELECT list_filter(l, lambda v, i: _count(l[1:i], v) > _count(r, v))
        FROM (SELECT _items(a) AS l, _items(b) AS r)))""",
    "_count(l, x)": "len(list_filter(l, lambda w: w = x))",
    "_arrays_overlap(a, b)": "list_has_any(_items(a), _items(b))",
    "_array_to_string(a, s)": """CASE WHEN s IS NULL OR a IS NULL THEN NULL
        WHEN len(_items(a)) = 0 THEN ''
        ELSE list_reduce(list_transform(_items(a), lambda v: coalesce(json_extract_string(v, '$'), '')),
            lambda x, y: x || s || y) END""",
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
    "_tokens(s, d)": """list_filter(
        string_split(translate(s, d, repeat(left(d, 1), len(d))), left(d, 1)), lambda p: p <> '')""",
    "_strtok(s, d)": "CASE WHEN s IS NULL OR d IS NULL THEN NULL ELSE to_json(_tokens(s, d)) END",
    # A value that a lambda returns; a float without a fraction is a whole number.
    "_element(x)": """CASE WHEN typeof(x) = 'DOUBLE' AND try_cast(x AS DOUBLE) = try_cast(x AS BIGINT)
        THEN to_json(try_cast(x AS BIGINT)) ELSE to_json(x) END""",
    "_regexp_replaced(s, p, r, f, n)": """CASE WHEN f > length(s) THEN s ELSE left(s, f::BIGINT - 1) || CASE WHEN n = 0
        THEN regexp_replace(substr(s, f::BIGINT), p, r, 'g')
        ELSE _match_replaced(string_split_regex(substr(s, f::BIGINT), p), regexp_extract_all(substr(s, f::BIGINT), p), p, r, n)
        END END""",
    "_chr(n)": "chr(n::INTEGER)",
    "_regexp_count(s, p)": "CASE WHEN p = '' THEN 0 ELSE len(regexp_extract_all(s, p)) END",
    # Letters with the same digit that follow each other count once, also around H and W.
    "_squeezed(s)": """array_to_string(list_filter(string_split(s, ''),
        lambda c, i: i = 1 OR c <> string_split(s, '')[i - 1]), '')""",
    "_soundex_of(u)": """left(u, 1) || rpad(left(replace(substr(_squeezed(translate(
        left(u, 1) || regexp_replace(substr(u, 2), '[HW]', '', 'g'),
        'ABCDEFGHIJKLMNOPQRSTUVWXYZ', '01230120022455012623010202')), 2), '0', ''), 3),
        CASE WHEN u = '' THEN 0 ELSE 3 END, '0')""",
    # The first letter keeps its case.
    "_soundex(s)": """left(regexp_replace(s, '[^A-Za-z]', '', 'g'), 1)
        || substr(_soundex_of(upper(regexp_replace(s, '[^A-Za-z]', '', 'g'))), 2)""",
    "_match_replaced(parts, matches, p, r, n)": """array_to_string(list_transform(parts, lambda part, i: part || CASE
        WHEN i > len(matches) THEN '' WHEN i = n THEN regexp_replace(matches[i], p, r) ELSE matches[i] END), '')""",
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
    "_binary(x)": """CASE typeof(x) WHEN 'BLOB' THEN x::BLOB WHEN 'JSON' THEN unhex(json_extract_string(to_json(x), '$'))
        ELSE unhex(x::VARCHAR) END""",
    "_try_binary(x)": """CASE WHEN regexp_full_match(x::VARCHAR, '([0-9A-Fa-f]{2})*') THEN unhex(x::VARCHAR) END""",
    # In a list, because cast_to_type refuses the type of an untyped NULL.
    "_rounded(x)": """CASE WHEN typeof(x) IN ('DOUBLE', 'FLOAT') THEN cast_to_type([round(try_cast(x AS DOUBLE))], [x])[1]
        ELSE x END""",
    "_array_range(f, t, s)": "to_json(range(trunc(f)::BIGINT, trunc(t)::BIGINT, trunc(s)::BIGINT))",
    "_object_keys(o)": "to_json(list_sort(json_keys(o)))",
    # The key itself, or the first one with other letter case.
    "_get_ignore_case(o, k)": """CASE json_type(_variant(o)) WHEN 'OBJECT' THEN list_concat(
        list_filter(_object_pairs(to_json(o)), lambda e: e[1] = k),
        list_filter(_object_pairs(to_json(o)), lambda e: lower(e[1]) = lower(k)))[1][2] END""",
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
    SELECT {seq} AS "SEQ", CASE WHEN NOT e.in_array THEN e.key_ END AS "KEY",
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
TABLE = {
    f"_flattened{_ARGUMENTS}": _FLATTENED.replace("{seq}", "(hash(i.root_) >> 1)::BIGINT"),
    # Not where an outer table is joined: DuckDB would reverse the order inside such a join.
    f"_flattened_in_order{_ARGUMENTS}": _FLATTENED.replace("{seq}", "1::BIGINT") + " ORDER BY e.number_",
}
