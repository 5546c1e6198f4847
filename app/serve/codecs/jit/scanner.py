"""The compiled scanner: reads a JSON number, word or text at an address; returns its value and the address after it.

Address 0 means that something else is there, or something that the scanner does not decide; the reader then returns None. The
bytes must be followed by ``END``, so that no loop runs past them and eight bytes can be read at any position.

A number becomes the nearest double exactly as ``float(text)`` does it: by Clinger's fast path if mantissa and power of ten are
exact doubles, by the algorithm of Eisel and Lemire otherwise (https://arxiv.org/abs/2101.11408, "Number Parsing at a Gigabyte
per Second"). Numbers of 17 digits, which Snowflake's FLOAT often has, need the latter; the C library's ``strtod`` in its place
takes 2.8 times as long for such rows (docs/decisions/0007).
"""

# ruff: noqa: ARG001  # numba passes contexts that not every intrinsic needs

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from app.serve.codecs.jit.compiler import compiled, forced

#: What must follow the bytes.
END = bytes(16)
#: Four bytes each, the first one lowest.
NULL, DATA, ROWS = (np.uint64(int.from_bytes(word, "little")) for word in (b"null", b"data", b"rows"))

_MIN_POWER, _MAX_POWER = -342, 308
_EXACT_POWERS = np.array([float(10**power) for power in range(23)])
_MAX_EXACT_MANTISSA = np.uint64(2**53)
#: More digits may not fit 64 bits.
_MAX_DIGITS = 19
_TENS = np.array([10**power for power in range(9)], dtype=np.uint64)


_instruction = cast(Callable[[Callable[..., Any]], Callable[..., Any]], intrinsic)


def _powers_of_five() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The 128 leading bits of 5**q for each q from _MIN_POWER to _MAX_POWER, high and low half; rounded up below 0."""
    high, low = [], []
    for power in range(_MIN_POWER, _MAX_POWER + 1):
        if power >= 0:
            value = 5**power
            shift = value.bit_length() - 128
            bits = value >> shift if shift > 0 else value << -shift
        else:
            divisor = 5**-power
            shift = divisor.bit_length() + 127
            bits = (1 << shift) // divisor + 1
        high.append(bits >> 64)
        low.append(bits & (2**64 - 1))
    return np.array(high, dtype=np.uint64), np.array(low, dtype=np.uint64)


_FIVES_HIGH, _FIVES_LOW = _powers_of_five()


@_instruction
def byte(typing: Any, address: Any) -> Any:
    """The byte at an address, as an integer."""

    def load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        return builder.zext(builder.load(pointer, typ=ir.IntType(8)), ir.IntType(64))

    return types.int64(types.int64), load


@_instruction
def eight_bytes(typing: Any, address: Any) -> Any:
    """The eight bytes from an address on, the first one lowest."""

    def load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load(pointer, typ=ir.IntType(64), align=1)

    return types.uint64(types.int64), load


@_instruction
def integer(typing: Any, address: Any) -> Any:
    """The 64-bit integer at an address."""

    def load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load(pointer, typ=ir.IntType(64))

    return types.int64(types.int64), load


@_instruction
def trailing_zeros(typing: Any, value: Any) -> Any:
    def count(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), count


@_instruction
def _leading_zeros(typing: Any, value: Any) -> Any:
    def count(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), count


@forced
def skip(at: int) -> int:
    """The address of the next byte that is not white space."""
    found = byte(at)
    while found <= 32 and (found == 32 or found == 10 or found == 13 or found == 9):
        at += 1
        found = byte(at)
    return at


@forced
def after(at: int, wanted: int) -> int:
    """The address after the byte ``wanted`` and white space; 0 if another byte is there."""
    if byte(at) != wanted:
        at = skip(at)
        if byte(at) != wanted:
            return 0
    at += 1
    # White space is rare in large bodies.
    return at if byte(at) > 32 else skip(at)


@compiled
def opening(at: int, field: Any) -> int:
    """The address after ``{"data":[`` and white space, 0 for another start. ``field``: the name's four bytes."""
    at = after(at, 123)  # {
    if at == 0 or byte(at) != 34 or eight_bytes(at + 1) & np.uint64(0xFFFFFFFF) != field or byte(at + 5) != 34:
        return 0
    at = after(at + 6, 58)  # :
    return after(at, 91) if at else 0  # [


@compiled
def closed(at: int, end: int) -> bool:
    """Whether ``]}`` follows, and then nothing up to ``end``."""
    at = after(at, 93)  # ]
    return at != 0 and after(at, 125) == end  # }


@forced
def row_number(at: int, row: int) -> int:
    """The address after the number ``row``; 0 for anything else."""
    begin, number = at, 0
    while 48 <= byte(at) <= 57 and at - begin < 10:
        number = number * 10 + byte(at) - 48
        at += 1
    if at == begin or number != row or (byte(begin) == 48 and at - begin > 1):
        return 0
    return at


@compiled
def is_null(at: int) -> bool:
    """Whether ``null`` is at the address."""
    return bool(eight_bytes(at) & np.uint64(0xFFFFFFFF) == NULL)


@compiled
def text(at: int) -> int:
    """The address after a text of printable ASCII without escapes; 0 for any other."""
    at += 1
    while 32 <= byte(at) <= 126 and byte(at) != 92:
        if byte(at) == 34:
            return at + 1
        at += 1
    return 0


@forced
def value(at: int) -> tuple[int, float]:
    """(address after, value) of a number, true, false or null, which is NaN; the address is 0 for anything else."""
    first = byte(at)
    if first <= 57:
        return _number(at)
    four = eight_bytes(at) & np.uint64(0xFFFFFFFF)
    if four == NULL:
        return at + 4, np.nan
    if four == 0x65757274:  # true
        return at + 4, 1.0
    if four == 0x736C6166 and byte(at + 4) == 101:  # fals, e
        return at + 5, 0.0
    return 0, 0.0


@forced
def _digits(at: int) -> tuple[int, Any]:
    """(number of leading digits in the next eight bytes, their value); all eight at once, without a loop."""
    digits = eight_bytes(at) ^ np.uint64(0x3030303030303030)
    others = (digits | (digits + np.uint64(0x0606060606060606))) & np.uint64(0xF0F0F0F0F0F0F0F0)
    if others == 0:
        count = 8
    else:
        count = trailing_zeros(others) >> 3
        if count == 0:
            return 0, np.uint64(0)
        digits <<= np.uint64(64 - 8 * count)
    digits = digits * np.uint64(10) + (digits >> np.uint64(8))
    low = (digits & np.uint64(0x000000FF000000FF)) * np.uint64(0x000F424000000064)
    high = ((digits >> np.uint64(16)) & np.uint64(0x000000FF000000FF)) * np.uint64(0x0000271000000001)
    return count, (low + high) >> np.uint64(32)


@forced
def _number(at: int) -> tuple[int, float]:
    negative = byte(at) == 45
    at += negative
    begin = at
    count, mantissa = _digits(at)
    at += count
    while count == 8:
        count, more = _digits(at)
        mantissa = mantissa * _TENS[count] + more
        at += count
    whole = at - begin
    if whole == 0 or (whole > 1 and byte(begin) == 48):
        return 0, 0.0
    first = begin  # where the significant digits start
    power = 0
    if byte(at) == 46:  # .
        at += 1
        fraction = at
        count = 8
        while count == 8:
            count, more = _digits(at)
            mantissa = mantissa * _TENS[count] + more
            at += count
        power = fraction - at
        if power == 0:
            return 0, 0.0
        first += 1
    if at - first > _MAX_DIGITS:
        # Leading zeros are not significant: 0.0012345678901234567 fits.
        while byte(begin) == 48 or byte(begin) == 46:
            begin += 1
        if at - begin > _MAX_DIGITS:
            return 0, 0.0
    if byte(at) | 32 == 101:  # e E
        at, exponent = _exponent(at + 1)
        if at == 0:
            return 0, 0.0
        power += exponent
    known, value = _double(mantissa, power)
    if not known or (negative and mantissa == 0 and power == 0):  # -0 is an integer, which has no sign; -0.0 has one
        return 0, 0.0
    return at, -value if negative else value


@compiled
def _exponent(at: int) -> tuple[int, int]:
    negative = byte(at) == 45
    if negative or byte(at) == 43:
        at += 1
    begin, exponent = at, 0
    while 48 <= byte(at) <= 57 and at - begin < 5:
        exponent = exponent * 10 + byte(at) - 48
        at += 1
    if at == begin or at - begin > 4:
        return 0, 0
    return at, -exponent if negative else exponent


@forced
def _double(mantissa: Any, power: int) -> tuple[bool, float]:
    """(True, the double nearest to mantissa * 10**power), or (False, 0) if neither algorithm decides."""
    if mantissa == 0:
        return True, 0.0
    if mantissa <= _MAX_EXACT_MANTISSA and -22 <= power <= 22:
        if power < 0:
            return True, np.float64(mantissa) / _EXACT_POWERS[-power]
        return True, np.float64(mantissa) * _EXACT_POWERS[power]
    if power < _MIN_POWER or power > _MAX_POWER:
        return False, 0.0
    return _eisel_lemire(mantissa, power)


@compiled
def _product(left: Any, right: Any) -> tuple[Any, Any]:
    """(high, low) half of the 128 bits of left * right."""
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    left_low, left_high = left & mask, left >> half
    right_low, right_high = right & mask, right >> half
    low = left_low * right_low
    cross = left_high * right_low + (low >> half)
    other = left_low * right_high + (cross & mask)
    return left_high * right_high + (cross >> half) + (other >> half), (other << half) | (low & mask)


@compiled
def _eisel_lemire(mantissa: Any, power: int) -> tuple[bool, float]:
    zeros = _leading_zeros(mantissa)
    scaled = mantissa << np.uint64(zeros)
    five_high, five_low = _FIVES_HIGH[power - _MIN_POWER], _FIVES_LOW[power - _MIN_POWER]
    high, low = _product(scaled, five_high)
    if high & np.uint64(0x1FF) == np.uint64(0x1FF):
        more, _ = _product(scaled, five_low)
        low = low + more
        if low < more:
            high = high + np.uint64(1)
    if low == np.uint64(0xFFFFFFFFFFFFFFFF) and (power < -27 or power > 55):
        return False, 0.0
    upper = high >> np.uint64(63)
    shift = upper + np.uint64(9)
    bits = high >> shift
    exponent = (((152170 + 65536) * power) >> 16) + 63 + np.int64(upper) - zeros + 1023
    if exponent <= 0 or exponent >= 2046:  # subnormal, or so large that rounding may overflow
        return False, 0.0
    # Exactly between two doubles: towards the even one.
    if low <= 1 and -4 <= power <= 23 and bits & np.uint64(3) == 1 and (bits << shift) == high:
        bits = bits & ~np.uint64(1)
    bits = (bits + (bits & np.uint64(1))) >> np.uint64(1)
    if bits >= np.uint64(1) << np.uint64(53):
        bits = np.uint64(1) << np.uint64(52)
        exponent += 1
    # `bits` has 53 bits, and 2**52 <= bits: the product with a power of two is exact.
    return True, np.ldexp(np.float64(bits), exponent - 1023 - 52)
