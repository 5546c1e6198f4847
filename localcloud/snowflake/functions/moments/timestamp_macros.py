"""Macros of the conversions to timestamps. Their CASEs over ``typeof`` are decided when DuckDB binds them."""

from __future__ import annotations

# The detected formats that DuckDB's own cast does not read.
FORMATS = (
    "['%a, %d %b %Y %H:%M:%S %z', '%m/%d/%Y %H:%M:%S', '%a %b %d %H:%M:%S %z %Y', '%Y-%m-%dT%H:%M', '%Y-%m-%d %H:%M', "
    "'%Y-%m-%dT%H', '%Y-%m-%d %H', '%d-%b-%Y', '%m/%d/%Y', '%d-%b-%Y %H:%M:%S']"
)
_OFFSET = r"(:\d{2}(?:[.]\d+)?)\s*(?:Z|[+-]\d{2}(?::?\d{2})?)$"
_SPACE = r"(:\d{2}(?:[.]\d+)?)\s+([+-]\d{2})(?::?(\d{2}))?$"
_INSTANT = (
    "('TIMESTAMP', 'TIMESTAMP WITH TIME ZONE', 'DATE', 'TIMESTAMP_NS', 'TIMESTAMP_MS', 'TIMESTAMP_S', '\"NULL\"')"
)

MACROS = {
    # Seconds below the first limit, then milliseconds, microseconds and nanoseconds: microseconds since 1970.
    "_epoch(n)": """CASE WHEN abs(n) < 31536000000 THEN n * 1000000 WHEN abs(n) < 31536000000000 THEN n * 1000
        WHEN abs(n) < 31536000000000000 THEN n ELSE n // 1000 END""",
    "_is_integer(x)": r"regexp_full_match(x, '\s*[+-]?\d{1,19}\s*') AND try_cast(x AS BIGINT) IS NOT NULL",
    "_without_offset(x)": rf"regexp_replace(x, '{_OFFSET}', '\1')",
    # '+09', '+0900' and '+09:00', also after a space.
    "_zone_text(x)": rf"""regexp_replace(regexp_replace(x, '{_SPACE}', '\1\2:\3'), '(:|\s+Z)$', CASE
        WHEN x LIKE '%Z' THEN 'Z' ELSE ':00' END)""",
    "_read(x)": f"try_strptime(x, {FORMATS})",
    "_ntz_text(x)": """CASE WHEN _is_integer(x) THEN make_timestamp(_epoch(try_cast(x AS BIGINT)))
        ELSE coalesce(try_cast(_without_offset(x) AS TIMESTAMP), _read(x)::TIMESTAMP, CAST(x AS TIMESTAMP)) END""",
    "_ltz_text(x)": """CASE WHEN _is_integer(x) THEN make_timestamptz(_epoch(try_cast(x AS BIGINT)))
        ELSE coalesce(try_cast(_zone_text(x) AS TIMESTAMPTZ), _read(x)::TIMESTAMPTZ, CAST(x AS TIMESTAMPTZ)) END""",
    "_micros(x, unit)": "CAST(floor(try_cast(x AS DECIMAL(28, 9)) * unit) AS BIGINT)",
    "_ntz_of(x, unit)": """CASE WHEN typeof(x) = 'VARCHAR' THEN _ntz_text(x::VARCHAR)
        WHEN typeof(x) = 'BIGINT' AND unit = 1 THEN make_timestamp(try_cast(x AS BIGINT))
        ELSE make_timestamp(_micros(x, unit)) END""",
    "_ltz_of(x, unit)": """CASE WHEN typeof(x) = 'VARCHAR' THEN _ltz_text(x::VARCHAR)
        WHEN typeof(x) = 'BIGINT' AND unit = 1 THEN make_timestamptz(try_cast(x AS BIGINT))
        ELSE make_timestamptz(_micros(x, unit)) END""",
    # A number in a VARIANT becomes a local time first, as Snowflake documents.
    "_ltz_json(x)": """CASE WHEN json_type(x) IN ('UBIGINT', 'BIGINT', 'DOUBLE')
        THEN make_timestamptz(_micros(x::VARCHAR, 1000000)) ELSE _ltz_text(x ->> '$') END""",
    "_ntz_json(x)": """CASE WHEN json_type(x) IN ('UBIGINT', 'BIGINT', 'DOUBLE') THEN _ltz_json(x)::TIMESTAMP
        ELSE _ntz_text(x ->> '$') END""",
    "_ntz(x)": f"""CASE WHEN typeof(x) IN {_INSTANT} THEN CAST(x AS TIMESTAMP)
        WHEN typeof(x) = 'JSON' THEN _ntz_json(to_json(x))
        WHEN typeof(x) = 'VARCHAR' THEN _ntz_text(x::VARCHAR) ELSE make_timestamp(_micros(x, 1000000)) END""",
    "_ntz_of_micros(x)": "make_timestamp(CAST(x AS BIGINT))",
    "_ntz_of_moment(x)": "CAST(x AS TIMESTAMP)",
    "_ltz(x)": f"""CASE WHEN typeof(x) IN {_INSTANT} THEN CAST(x AS TIMESTAMPTZ)
        WHEN typeof(x) = 'JSON' THEN _ltz_json(to_json(x))
        WHEN typeof(x) = 'VARCHAR' THEN _ltz_text(x::VARCHAR) ELSE make_timestamptz(_micros(x, 1000000)) END""",
    "_try_ntz(x)": """CASE WHEN typeof(x) <> 'VARCHAR' THEN try_cast(x AS TIMESTAMP)
        WHEN _is_integer(x::VARCHAR) THEN make_timestamp(_epoch(try_cast(x::VARCHAR AS BIGINT)))
        ELSE coalesce(try_cast(_without_offset(x::VARCHAR) AS TIMESTAMP), _read(x::VARCHAR)::TIMESTAMP) END""",
    "_try_ltz(x)": """CASE WHEN typeof(x) <> 'VARCHAR' THEN try_cast(x AS TIMESTAMPTZ)
        WHEN _is_integer(x::VARCHAR) THEN make_timestamptz(_epoch(try_cast(x::VARCHAR AS BIGINT)))
        ELSE coalesce(try_cast(_zone_text(x::VARCHAR) AS TIMESTAMPTZ), _read(x::VARCHAR)::TIMESTAMPTZ) END""",
    "_in_zone(zone, x)": "_ltz(x)",
    "_time_text(x)": """CASE WHEN _is_integer(x) THEN make_timestamp(_epoch(try_cast(x AS BIGINT)))::TIME
        ELSE coalesce(try_cast(_without_offset(x) AS TIMESTAMP)::TIME,
            CAST(CASE WHEN _is_integer(x) THEN NULL ELSE x END AS TIME)) END""",
    "_time(x)": """CASE typeof(x) WHEN 'VARCHAR' THEN _time_text(x::VARCHAR) WHEN 'JSON' THEN _time_text(to_json(x) ->> '$')
        WHEN 'TIMESTAMP WITH TIME ZONE' THEN _ntz(x)::TIME ELSE CAST(x AS TIME) END""",
    "_try_time(x)": """CASE typeof(x) WHEN 'VARCHAR' THEN coalesce(try_cast(x AS TIME), _try_ntz(x)::TIME)
        ELSE try_cast(x AS TIME) END""",
    "_date_text(x)": """CASE WHEN _is_integer(x) THEN make_timestamp(_epoch(try_cast(x AS BIGINT)))::DATE
        ELSE coalesce(try_cast(x AS DATE), try_cast(_without_offset(x) AS TIMESTAMP)::DATE, _read(x)::TIMESTAMP::DATE,
            CAST(CASE WHEN _is_integer(x) THEN NULL ELSE x END AS DATE)) END""",
    "_date(x)": """CASE typeof(x) WHEN 'VARCHAR' THEN _date_text(x::VARCHAR) WHEN 'JSON' THEN _date_text(to_json(x) ->> '$')
        WHEN 'TIMESTAMP WITH TIME ZONE' THEN _ntz(x)::DATE ELSE CAST(x AS DATE) END""",
    "_try_date(x)": """CASE typeof(x) WHEN 'VARCHAR' THEN coalesce(try_cast(x AS DATE), _try_ntz(x)::DATE)
        ELSE try_cast(x AS DATE) END""",
    "_floored(n, d)": "CASE WHEN n < 0 AND n % d <> 0 THEN n // d - 1 ELSE n // d END",
    "_read_or_fail(iso, text)": """CASE WHEN iso IS NULL AND text IS NOT NULL
        THEN ('Text in another format: ' || text)::INTEGER::VARCHAR ELSE iso END""",
    # A TIME has no date, and DuckDB formats only moments.
    "_dated(x)": """CASE typeof(x) WHEN 'TIME' THEN '1970-01-01'::DATE + try_cast(x AS TIME)
        ELSE try_cast(x AS TIMESTAMP) END""",
    "_without_zone(x)": """CASE typeof(x) WHEN 'TIMESTAMP WITH TIME ZONE'
        THEN _ntz(('Invalid argument types for function CONVERT_TIMEZONE' || left(CAST(x AS VARCHAR), 0))::INTEGER)
        ELSE _ntz(x) END""",
    # Minutes east of UTC of the session's wall clock, and their text.
    "_minutes(x)": "date_diff('minute', timezone('UTC', x::TIMESTAMPTZ), x::TIMESTAMPTZ::TIMESTAMP)",
    "_offset(m, colon)": """CASE WHEN m < 0 THEN '-' ELSE '+' END || lpad((abs(m) // 60)::VARCHAR, 2, '0') || colon
        || lpad((abs(m) % 60)::VARCHAR, 2, '0')""",
    "_plain_text(x)": "strftime(x, '%Y-%m-%d %H:%M:%S.%g')",
    "_zoned_text(x)": "strftime(x::TIMESTAMP, '%Y-%m-%d %H:%M:%S.%g ') || _offset(_minutes(x), '')",
    # Minutes east of UTC of ``wall``, the wall clock of ``x``. A lambda's parameter does not grow, a macro's operand does.
    "_east(wall, x, zone)": """list_transform([_ltz(x)], lambda i: CASE
        WHEN zone IS NOT NULL THEN date_diff('minute', timezone('UTC', i), wall::TIMESTAMP)
        WHEN typeof(x) = 'TIMESTAMP WITH TIME ZONE' THEN _minutes(i) ELSE 0 END)[1]""",
    "_formatted(wall, x, f, zone)": """list_transform([_east(wall, x, zone)], lambda east:
        replace(replace(strftime(wall, f), chr(1), _offset(east, '')), chr(2), _offset(east, ':')))[1]""",
    "_formatted_once(wall, x, f, zone)": """list_transform([{'w': wall, 'x': x}],
        lambda v: _formatted(v['w'], v['x'], f, zone))[1]""",
    # In the session's time zone, and in another one. DuckDB takes no format that is bound to a lambda's parameter.
    "_formatted_here(x, f)": "list_transform([x], lambda v: _formatted(v, v, f, NULL))[1]",
    "_formatted_in(x, f, zone)": """list_transform([x], lambda u: list_transform([_ltz(u)],
        lambda v: _formatted(timezone(zone, v), v, f, zone))[1])[1]""",
}
