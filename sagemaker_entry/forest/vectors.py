"""The innermost loop of the forest, in LLVM's vectors: many rows pass the tests of one word at a time.

The masks stay in registers for all tests of a word. Written with vectors of ``TILE`` lanes, which LLVM divides over the machine's
registers, whatever their width; numba's own loops load and store the masks at each test, which takes twice as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from sagemaker_entry.forest.layout import BYTES, CLASSES, WORD

#: Rows whose masks are in registers at the same time: 4 registers of 512 bits, or 8 of 256.
TILE = 64
#: Rows for which the trees are passed through once: several tiles, because the processor foresees where a word's tests end only in
#: the tiles after the first. Blocks of 128 rows take a third longer a row.
BLOCK = 256

_I8, _I32, _I64, _FLOAT = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
_MASKS, _VALUES, _BYTES = (ir.VectorType(kind, TILE) for kind in (_I32, _FLOAT, _I8))
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


def permutes_bytes() -> bool:
    """Whether the machine looks 64 bytes up in a register at once, so that ``pass_look_up`` is faster than loads from memory."""
    return _enables(cpu_target.target_context, "+avx512vbmi")


def _enables(context: Any, feature: str) -> bool:
    _, _, features = context.codegen().magic_tuple()
    return feature in features.split(",")


@intrinsic  # type: ignore[untyped-decorator]
def pass_look_up(
    _: Any,
    planes: Any,
    at: Any,  # noqa: ARG001
    classes: Any,
    begin: Any,  # noqa: ARG001
    pieces: Any,  # noqa: ARG001
    lookups: Any,
    palette: Any,  # noqa: ARG001
    masks: Any,
    start: Any,  # noqa: ARG001
) -> Any:
    """Less the masks of a look-up by bytes, into ``masks[start : start + TILE]``.

    ``planes``: uint8 [features, 2, BLOCK], which hold the rows' codes from ``at`` on; ``begin``, ``pieces``: the first byte of the
    look-up in ``classes``, and how many vectors of bytes it has; ``palette``: where its masks begin in ``lookups``.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def pointer(number: int, kind: Any, index: Any) -> Any:
            data = context.make_array(signature.args[number])(context, builder, args[number]).data
            return builder.gep(builder.bitcast(data, kind.as_pointer()), [index])

        low, high = (pointer(0, _I8, builder.add(args[1], _I64(plane * BLOCK))) for plane in (0, 1))
        table, values, target = pointer(2, _I8, args[3]), pointer(5, _I32, args[6]), pointer(7, _I32, args[8])
        if _enables(context, "+avx512vbmi"):
            found = _permuted_classes(builder, table, args[4], _vector_at(builder, low, _BYTES), high)
            _pass_permuted(builder, found, values, target)
        else:
            _pass_one_by_one(builder, table, low, high, values, target)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(planes, whole, classes, whole, whole, lookups, whole, masks, whole), generate


def _permuted_classes(builder: Any, table: Any, pieces: Any, low: Any, high: Any) -> Any:
    """The bytes of ``table``, which has ``pieces`` vectors, at the codes of ``TILE`` rows."""
    kind = ir.FunctionType(_BYTES, [_BYTES, _BYTES])
    permute = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.permvar.qi.512")
    first = builder.call(permute, [_vector_at(builder, table, _BYTES), low])
    found = cgutils.alloca_once_value(builder, first)
    builder.store(first, found)
    numbers = _vector_at(builder, high, _BYTES)
    with cgutils.for_range_slice(builder, _I64(1), pieces, _I64(1)) as (piece, _):
        part = _vector_at(builder, builder.gep(table, [builder.mul(piece, _I64(BYTES))]), _BYTES)
        mine = builder.icmp_unsigned("==", numbers, _splat(builder, builder.trunc(piece, _I8), _BYTES))
        builder.store(builder.select(mine, builder.call(permute, [part, low]), builder.load(found)), found)
    return builder.load(found)


def _pass_permuted(builder: Any, classes: Any, values: Any, target: Any) -> None:
    """Less the masks of ``values`` with the numbers in ``classes``, into the ``TILE`` masks at ``target``."""
    lanes = CLASSES // 2
    words = ir.VectorType(_I32, lanes)
    low, high = (_vector_at(builder, builder.gep(values, [_I64(half)]), words) for half in (0, lanes))
    kind = ir.FunctionType(words, [words, words, words])
    permute = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpermi2var.d.512")
    for lane in range(0, TILE, lanes):
        part = builder.shuffle_vector(classes, classes, ir.Constant(words, list(range(lane, lane + lanes))))
        mask = builder.call(permute, [low, builder.zext(part, words), high])
        place = builder.bitcast(builder.gep(target, [_I64(lane)]), words.as_pointer())
        builder.store(builder.and_(builder.load(place, align=4), mask), place, align=4)


def _pass_one_by_one(builder: Any, table: Any, low: Any, high: Any, values: Any, target: Any) -> None:
    """The same on any machine, which is slower than a look-up by code."""
    with cgutils.for_range(builder, _I64(TILE)) as loop:
        first, piece = (builder.zext(builder.load(builder.gep(plane, [loop.index])), _I64) for plane in (low, high))
        code = builder.add(builder.mul(piece, _I64(BYTES)), first)
        number = builder.zext(builder.load(builder.gep(table, [code])), _I64)
        place = builder.gep(target, [loop.index])
        builder.store(builder.and_(builder.load(place), builder.load(builder.gep(values, [number]))), place)


def _vector_at(builder: Any, place: Any, kind: Any) -> Any:
    return builder.load(builder.bitcast(place, kind.as_pointer()), align=1)


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
