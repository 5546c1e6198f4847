"""Snowflake's arithmetic of NUMBER as macros that find the types of their operands when DuckDB binds them.

The scales come from CASTs to the type of another expression, which DuckDB binds and does not compute. A CASE over ``typeof`` would
not work: DuckDB gives its branches one type.
"""

from __future__ import annotations

MACROS = {
    "_scale(x)": r"coalesce(try_cast(regexp_extract(typeof(x), ',(\d+)\)', 1) AS INTEGER), 0)",
    "_ten_to(n)": "('1' || repeat('0', greatest(n, 0)))::HUGEINT",
    "_unscaled(x)": "(x * _ten_to(_scale(x)))::HUGEINT",
    # Rounded half away from zero; NULL for a divisor of zero.
    "_nearest(n, d)": """CASE WHEN (n < 0) = (d < 0) THEN (abs(n) * 2 + abs(d)) // nullif(abs(d) * 2, 0)
        ELSE -((abs(n) * 2 + abs(d)) // nullif(abs(d) * 2, 0)) END""",
    # A value of the quotient's type: the dividend's scale plus 6, at most 12, or a float if either operand is one.
    "_ratio_type(a, b)": "round(a, 6) * 1.000000 + round(a, 38) * 0 + round(b) * 0::TINYINT + 0::DECIMAL(38, 0)",
    # Whether all intermediate results of the exact quotient fit in this number of digits.
    "_fits(a, b, digits)": """greatest(_scale(_ratio_type(a, b)) + _scale(b), 2 * _scale(a), 2 * _scale(b)) < digits
        AND abs(a::DOUBLE) < 10.0 ^ (digits - 1 - greatest(_scale(_ratio_type(a, b)) + _scale(b), 2 * _scale(a)))
        AND abs(b::DOUBLE) < 10.0 ^ (digits - 1 - 2 * _scale(b))""",
    # Computed in the type of ``model``, because 64-bit arithmetic is much faster than 128-bit.
    "_exact_ratio(a, b, model)": """_nearest(
            cast_to_type(_unscaled(a), model)
            * TRY(cast_to_type(_ten_to(_scale(_ratio_type(a, b)) + _scale(b) - _scale(a)), model)),
            cast_to_type(_unscaled(b), model)
        ) * cast_to_type('1e-' || _scale(_ratio_type(a, b)), _ratio_type(a, b))""",
    "_float_ratio(a, b)": "cast_to_type(a::DOUBLE / b::DOUBLE, _ratio_type(a, b))",
    # For a divisor of zero the exact quotient is NULL, and the float division raises the error.
    "_ratio(a, b)": """CASE
        WHEN typeof(_ratio_type(a, b)) NOT LIKE 'DECIMAL%' THEN _float_ratio(a, b)
        WHEN _fits(a, b, 18) THEN coalesce(_exact_ratio(a, b, 0::BIGINT), _float_ratio(a, b))
        WHEN _fits(a, b, 38) THEN coalesce(_exact_ratio(a, b, 0::HUGEINT), _float_ratio(a, b))
        ELSE _float_ratio(a, b) END""",
    "_factorial(n)": "factorial(n::INTEGER)",
    "_trunc_constant(x, decimals)": "trunc(x, decimals::INTEGER)",
    "_trunc(x, decimals)": "trunc((x * 10.0 ^ decimals)::DOUBLE) / 10.0 ^ decimals",
    "_sqrt(x)": """CASE WHEN x < 0 THEN ('Invalid operation: sqrt(' || CAST(x AS VARCHAR) || ')')::INTEGER ELSE sqrt(x) END""",
    "_width_bucket(x, low, high, n)": """CASE WHEN x IS NULL OR low IS NULL OR high IS NULL OR n IS NULL THEN NULL
        WHEN x < low THEN 0 WHEN x >= high THEN n + 1
        ELSE floor((x - low)::DOUBLE * n / (high - low)::DOUBLE)::BIGINT + 1 END""",
}
