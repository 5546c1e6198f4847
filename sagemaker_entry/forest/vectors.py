"""The innermost loop of the forest, in LLVM's vectors: many rows pass the tests of one word at a time.

The masks stay in registers for all tests of a word. Written with vectors of ``TILE`` lanes, which LLVM divides over the machine's
registers, whatever their width; numba's own loops load and store the masks at each test, which takes twice as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from sagemaker_entry.forest.layout import WORD

#: Rows whose masks are in registers at the same time: 4 registers of 512 bits, or 8 of 256.
TILE = 64
#: Rows for which the trees are passed through once: several tiles, because the processor foresees where a word's tests end only in
#: the tiles after the first. Blocks of 128 rows take a third longer a row.
BLOCK = 256

_I32, _I64, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()
_MASKS, _VALUES = ir.VectorType(_I32, TILE), ir.VectorType(_FLOAT, TILE)
_ONES = ir.Constant(_MASKS, [0xFFFFFFFF] * TILE)
#: Of ``layout.TEST``: its 32-bit fields.
_FIELDS, _MASK, _THRESHOLD = 4, 1, 2


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def pass_tests(_: Any, columns: Any, start: Any, tests: Any, ends: Any, kind: Any, masks: Any) -> Any:  # noqa: ARG001
    """Into ``masks[start : start + TILE]``: all ones, less the masks of a word's numeric tests that send a row to the right.

    Called as ``pass_tests(columns, start, tests, ends, kind, masks)``.

    ``columns``: float32 [features, BLOCK]; ``start``: the first row; ``kind``: the word's first position in ``ends``.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def pointer(number: int, kind: Any) -> Any:
            data = context.make_array(signature.args[number])(context, builder, args[number]).data
            return builder.bitcast(data, kind.as_pointer())

        values, fields = pointer(0, _FLOAT), pointer(2, _I32)
        offsets, target = pointer(3, _I64), pointer(5, _I32)
        bounds = [builder.load(builder.gep(offsets, [builder.add(args[4], _I64(number))])) for number in range(3)]
        found = cgutils.alloca_once_value(builder, _ONES)
        # A comparison with NaN is false when it is ordered, and true when it is not.
        for compare, first, last in (
            (builder.fcmp_ordered, bounds[0], bounds[1]),
            (builder.fcmp_unordered, bounds[1], bounds[2]),
        ):
            with cgutils.for_range_slice(builder, first, last, _I64(1)) as (number, _):
                field = builder.mul(number, _I64(_FIELDS))
                feature = builder.zext(builder.load(builder.gep(fields, [field])), _I64)
                at = builder.gep(values, [builder.add(builder.mul(feature, _I64(BLOCK)), args[1])])
                lanes = builder.load(builder.bitcast(at, _VALUES.as_pointer()), align=4)
                mask = builder.load(builder.gep(fields, [builder.add(field, _I64(_MASK))]))
                raw = builder.load(builder.gep(fields, [builder.add(field, _I64(_THRESHOLD))]))
                threshold = _splat(builder, builder.bitcast(raw, _FLOAT), _VALUES)
                kept = builder.select(compare(">=", lanes, threshold), _splat(builder, mask, _MASKS), _ONES)
                builder.store(builder.and_(builder.load(found), kept), found)
        into = builder.bitcast(builder.gep(target, [args[1]]), _MASKS.as_pointer())
        builder.store(builder.load(found), into, align=4)
        return context.get_dummy_value()

    return types.void(columns, types.int64, tests, ends, types.int64, masks), generate


def _leaf_function(put: Callable[[Any, Any, Any, Any], Any]) -> Any:
    """``function(masks, start, leaves, leaf, target, into)``: for each mask in ``masks[start : start + TILE]``, the value of the
    leaf that its lowest bit stands for, of ``leaves[leaf : leaf + 32]``. ``put(builder, mask, found, present)``: what the values in
    ``target[into : into + TILE]`` become."""

    @intrinsic  # type: ignore[untyped-decorator]
    def function(_: Any, masks: Any, start: Any, leaves: Any, leaf: Any, target: Any, into: Any) -> Any:  # noqa: ARG001
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            def pointer(number: int, kind: Any, index: Any) -> Any:
                data = context.make_array(signature.args[number])(context, builder, args[number]).data
                return builder.gep(builder.bitcast(data, kind.as_pointer()), [index])

            at, into = pointer(0, _I32, args[1]), pointer(4, _FLOAT, args[5])
            _, _, features = context.codegen().magic_tuple()
            lanes, look_up = _look_up_of(builder, pointer(2, _FLOAT, args[3]), features)
            words, floats = ir.VectorType(_I32, lanes), ir.VectorType(_FLOAT, lanes)
            counts = ir.FunctionType(words, [words, ir.IntType(1)])
            first_bit = cgutils.get_or_insert_function(builder.module, counts, f"llvm.cttz.v{lanes}i32")
            for lane in range(0, TILE, lanes):
                here = [_I64(lane)]
                mask = builder.load(builder.bitcast(builder.gep(at, here), words.as_pointer()), align=4)
                found = look_up(builder.call(first_bit, [mask, ir.Constant(ir.IntType(1), 0)]))
                place = builder.bitcast(builder.gep(into, here), floats.as_pointer())
                builder.store(put(builder, mask, found, builder.load(place, align=4)), place, align=4)
            return context.get_dummy_value()

        return types.void(masks, types.int64, leaves, types.int64, target, types.int64), generate

    return function


def _where_not_empty(builder: Any, mask: Any, found: Any, present: Any) -> Any:
    return builder.select(builder.icmp_unsigned("!=", mask, _constant(mask.type, 0)), found, present)


def _added(builder: Any, mask: Any, found: Any, present: Any) -> Any:  # noqa: ARG001  # no mask is 0
    return builder.fadd(present, found)


#: Into the target where the mask is not 0; added to the target, for masks that are not 0.
pick_leaves, add_leaves = _leaf_function(_where_not_empty), _leaf_function(_added)


def _look_up_of(builder: Any, values: Any, features: str) -> tuple[int, Callable[[Any], Any]]:
    """How many values are looked up at a time, and the look-up in the 32 at ``values``, by vectors of numbers from 0 to 32.

    A gather from memory takes several times as long as a permutation of registers, which each kind of processor has its own of.
    """
    enabled = set(features.split(","))
    if "+avx512f" in enabled:
        lanes, name = 16, "llvm.x86.avx512.vpermi2var.ps.512"
    elif "+avx2" in enabled:
        lanes, name = 8, "llvm.x86.avx2.permps"
    else:
        return 4, lambda index: _loaded_one_by_one(builder, values, index)
    floats, words = ir.VectorType(_FLOAT, lanes), ir.VectorType(_I32, lanes)
    parts = [
        builder.load(builder.bitcast(builder.gep(values, [_I64(first)]), floats.as_pointer()), align=4)
        for first in range(0, WORD, lanes)
    ]
    if lanes == 16:
        permute = cgutils.get_or_insert_function(builder.module, ir.FunctionType(floats, [floats, words, floats]), name)
        return lanes, lambda index: builder.call(permute, [parts[0], index, parts[1]])
    permute = cgutils.get_or_insert_function(builder.module, ir.FunctionType(floats, [floats, words]), name)

    def look_up(index: Any) -> Any:
        found = [builder.call(permute, [part, index]) for part in parts]
        upper = [
            builder.icmp_unsigned("!=", builder.and_(index, _constant(words, bit)), _constant(words, 0))
            for bit in (8, 16)
        ]
        low, high = (builder.select(upper[0], found[at + 1], found[at]) for at in (0, 2))
        return builder.select(upper[1], high, low)

    return lanes, look_up


def _loaded_one_by_one(builder: Any, values: Any, index: Any) -> Any:
    found = ir.Constant(ir.VectorType(_FLOAT, index.type.count), ir.Undefined)
    for lane in range(index.type.count):
        number = builder.and_(builder.extract_element(index, _I32(lane)), _I32(WORD - 1))
        value = builder.load(builder.gep(values, [builder.zext(number, _I64)]))
        found = builder.insert_element(found, value, _I32(lane))
    return found


def _constant(kind: Any, value: int) -> Any:
    return ir.Constant(kind, [value] * kind.count)


def _splat(builder: Any, value: Any, kind: Any) -> Any:
    """A vector with ``value`` in each lane."""
    nothing = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(nothing, value, _I32(0))
    return builder.shuffle_vector(one, nothing, ir.Constant(_MASKS, [0] * TILE))
