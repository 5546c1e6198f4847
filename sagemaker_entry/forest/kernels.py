"""Margins: the sum of the leaves that a row ends in, added in float32 in the order of the trees, beginning with the base margin.

That order makes every bit equal to XGBoost's. A value below a split goes left, a missing one where the split says; a category in a
split's list goes right, and one that the booster cannot know goes left.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sagemaker_entry.compilation import Compiler, inlined
from sagemaker_entry.forest.layout import BYTES, CATEGORICAL, FEATURE, KINDS, MISSING_RIGHT, WORD
from sagemaker_entry.forest.vectors import BLOCK, TILE, add_leaves, pass_look_up, pass_tests, pick_leaves

compiled = Compiler(Path(__file__).parent)

_FEATURE, _MISSING_RIGHT = np.uint32(FEATURE), np.uint32(MISSING_RIGHT)
_CATEGORICAL, _WORD, _BYTES = np.uint32(CATEGORICAL), np.uint32(WORD), np.uint32(BYTES)
#: From here on a float32 does not hold each integer; XGBoost takes no such category.
_CATEGORIES = np.float32(2**24)


@compiled
def in_right_categories(value: Any, bits: Any, begin: Any) -> Any:
    """Whether ``value``, which is not missing, is in the list of a categorical split."""
    if not (value >= np.float32(0) and value < _CATEGORIES):
        return False
    category = np.uint32(value)
    word = category // _WORD
    if word >= bits[begin]:
        return False
    return (bits[begin + np.uint32(1) + word] >> (category % _WORD)) & np.uint32(1) != 0


@inlined
def _goes_right(node: Any, value: Any, bits: Any) -> Any:
    missing = (value != value) & (node.feature & _MISSING_RIGHT != 0)
    if node.feature & _CATEGORICAL != 0 and value == value:
        return in_right_categories(value, bits, node.bits)
    return (value >= node.threshold) | missing


@compiled
def margins_of_rows(matrix: Any, trees: Any, nodes: Any, bits: Any, base: Any, margins: Any) -> None:
    """Into ``margins`` [rows, groups], row by row: best for a few. ``matrix``: float32 [rows, features]; ``base``: [groups]."""
    for row in range(len(matrix)):
        for group in range(len(base)):
            margins[row, group] = base[group]
        for tree in trees:
            at = tree.root
            for _ in range(tree.depth):
                node = nodes[at]
                value = matrix[np.uint32(row), node.feature & _FEATURE]
                at = node.child + np.uint32(_goes_right(node, value, bits))
            margins[np.uint32(row), tree.group] += nodes[at].value


@inlined
def _add_leaves(
    columns: Any,
    codes: Any,
    planes: Any,
    tiles: Any,
    tree: Any,
    tests: Any,
    ends: Any,
    leaves: Any,
    bits: Any,
    levels: Any,
    lookups: Any,
    classes: Any,
    masks: Any,
    picked: Any,
    sums: Any,
    into: Any,
) -> None:
    """Add the value of each row's leaf to ``sums[into:]``, by masks; ``picked`` is memory to work in.

    The last word comes first: the first word that is not 0 has the leaf.
    """
    for word in range(np.int64(tree.words) - 1, -1, -1):
        kind, leaf = (np.int64(tree.word) + word) * KINDS, np.int64(tree.leaf) + word * WORD
        for tile in range(tiles):
            pass_tests(columns, np.int64(tile * TILE), tests, ends, kind, masks)
        for number in range(ends[kind + KINDS - 3], ends[kind + KINDS - 2]):
            feature, begin = tests[number].feature, tests[number].bits
            for row in range(tiles * TILE):
                masks[row] &= lookups[begin + codes[feature, row]]
        for number in range(ends[kind + KINDS - 2], ends[kind + KINDS - 1]):
            test = tests[number]
            begin, palette = np.int64(test.bits), np.int64(test.mask)
            count = (np.int64(levels[test.feature]) + 2 + BYTES - 1) // BYTES
            for tile in range(tiles):
                at = np.int64(tile * TILE)
                pass_look_up(planes, test.feature * 2 * BLOCK + at, classes, begin, count, lookups, palette, masks, at)
        for number in range(ends[kind + KINDS - 1], ends[kind + KINDS]):
            _pass_categories(columns, tiles, tests[number], bits, masks)
        if tree.words == 1:
            for tile in range(tiles):
                add_leaves(masks, np.int64(tile * TILE), leaves, leaf, sums, into + tile * TILE)
        else:
            for tile in range(tiles):
                pick_leaves(masks, np.int64(tile * TILE), leaves, leaf, picked, np.int64(tile * TILE))
    if tree.words != 1:
        for row in range(tiles * TILE):
            sums[into + row] += picked[row]


@inlined
def _margins_of_block(
    columns: Any,
    count: Any,
    trees: Any,
    nodes: Any,
    tests: Any,
    ends: Any,
    leaves: Any,
    bits: Any,
    levels: Any,
    lookups: Any,
    classes: Any,
    codes: Any,
    planes: Any,
    base: Any,
    masks: Any,
    picked: Any,
    at: Any,
    sums: Any,
) -> None:
    """Into ``sums`` [groups * BLOCK], for the first ``count`` rows of ``columns`` [features, BLOCK]."""
    tiles = (count + TILE - 1) // TILE
    for feature in range(len(levels)):
        if levels[feature] != 0:
            _encode(columns[feature], tiles, levels[feature], codes[feature], planes[feature])
    for group in range(len(base)):
        sums[group * BLOCK : (group + 1) * BLOCK] = base[group]
    for tree in trees:
        into = np.int64(tree.group) * BLOCK
        if tree.words:
            _add_leaves(
                columns,
                codes,
                planes,
                tiles,
                tree,
                tests,
                ends,
                leaves,
                bits,
                levels,
                lookups,
                classes,
                masks,
                picked,
                sums,
                into,
            )
        else:
            _walk(columns, tiles, tree, nodes, bits, at)
            for row in range(tiles * TILE):
                sums[into + row] += nodes[at[row]].value


@compiled
def margins_of_blocks(
    matrix: Any,
    trees: Any,
    nodes: Any,
    tests: Any,
    ends: Any,
    leaves: Any,
    bits: Any,
    levels: Any,
    lookups: Any,
    classes: Any,
    base: Any,
    margins: Any,
) -> None:
    """As ``margins_of_rows``, for blocks of rows side by side."""
    rows, features = matrix.shape
    columns = np.zeros((features, BLOCK), np.float32)
    sums = np.empty(len(base) * BLOCK, np.float32)
    masks, at = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.uint32)
    codes, picked = np.empty((len(levels), BLOCK), np.uint32), np.empty(BLOCK, np.float32)
    planes = np.empty((len(levels), 2, BLOCK), np.uint8)
    for first in range(0, rows, BLOCK):
        count = min(BLOCK, rows - first)
        for row in range(count):
            for feature in range(features):
                columns[feature, row] = matrix[first + row, feature]
        _margins_of_block(
            columns,
            count,
            trees,
            nodes,
            tests,
            ends,
            leaves,
            bits,
            levels,
            lookups,
            classes,
            codes,
            planes,
            base,
            masks,
            picked,
            at,
            sums,
        )
        for row in range(count):
            for group in range(len(base)):
                margins[first + row, group] = sums[group * BLOCK + row]


@compiled
def margins_of_table(
    table: Any,
    trees: Any,
    nodes: Any,
    tests: Any,
    ends: Any,
    leaves: Any,
    bits: Any,
    levels: Any,
    lookups: Any,
    classes: Any,
    base: Any,
    margins: Any,
) -> None:
    """As ``margins_of_blocks``, for rows that are laid out in blocks. ``table``: float32 [blocks, features, BLOCK]."""
    rows = len(margins)
    sums = np.empty(len(base) * BLOCK, np.float32)
    masks, at = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.uint32)
    codes, picked = np.empty((len(levels), BLOCK), np.uint32), np.empty(BLOCK, np.float32)
    planes = np.empty((len(levels), 2, BLOCK), np.uint8)
    for first in range(0, rows, BLOCK):
        count = min(BLOCK, rows - first)
        columns = table[first // BLOCK]
        _margins_of_block(
            columns,
            count,
            trees,
            nodes,
            tests,
            ends,
            leaves,
            bits,
            levels,
            lookups,
            classes,
            codes,
            planes,
            base,
            masks,
            picked,
            at,
            sums,
        )
        for row in range(count):
            for group in range(len(base)):
                margins[first + row, group] = sums[group * BLOCK + row]


@compiled
def _encode(values: Any, tiles: Any, levels: Any, codes: Any, planes: Any) -> None:
    """Into ``codes``: where each row's mask is in a look-up: of a missing value, of a category, or of any other value. ``planes``:
    the same as the position in a vector of bytes, and the number of that vector."""
    most = np.float32(levels)
    for row in range(tiles * TILE):
        value = values[row]
        known = (value >= np.float32(0)) & (value < most)
        category = np.int32(value if known else np.float32(0))
        code = np.uint32(category + 1) if known else (np.uint32(0) if value != value else levels + np.uint32(1))
        codes[row] = code
        planes[0, row], planes[1, row] = np.uint8(code % _BYTES), np.uint8(code // _BYTES)


@compiled
def _pass_categories(columns: Any, tiles: Any, test: Any, bits: Any, masks: Any) -> None:
    values, missing_right = columns[test.feature & _FEATURE], test.feature & _MISSING_RIGHT != 0
    for row in range(tiles * TILE):
        value = values[row]
        if in_right_categories(value, bits, test.bits) if value == value else missing_right:
            masks[row] &= test.mask


@compiled
def _walk(columns: Any, tiles: Any, tree: Any, nodes: Any, bits: Any, at: Any) -> None:
    """Into ``at``: the node that each row ends in, all rows level by level."""
    for row in range(tiles * TILE):
        at[row] = tree.root
    for _ in range(tree.depth):
        for row in range(tiles * TILE):
            node = nodes[at[row]]
            value = columns[node.feature & _FEATURE, np.uint32(row)]
            at[row] = node.child + np.uint32(_goes_right(node, value, bits))
