"""A booster's trees as flat arrays, in two forms: nodes to walk through, and masks over leaves.

Leaves are numbered from left to right. A test, which is one inner node, has a mask with zeros at the leaves of its left subtree.
Start from all ones and apply the masks of all tests that send a row to the right: the lowest bit that is left is the row's leaf
(QuickScorer: Lucchese et al., SIGIR 2015; with rows as vector lanes: V-QuickScorer, 2016). A word has 32 leaves, so a larger tree
has several, and a test belongs to each word that holds leaves of its left subtree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: Leaves in a word.
WORD = 32
#: A tree with more tests a level than this is walked through. Measured: a test by masks costs a row 0.033 ns, a level 1.6 ns.
MOST_TESTS_A_LEVEL = 48

#: ``feature``: with ``MISSING_RIGHT`` if a missing value goes right, and ``CATEGORICAL`` if ``bits`` decides. ``child``: the left
#: one; the right one follows it. A leaf is its own child, and its threshold sends no value to the right. ``value``: a leaf's.
#: ``bits``: where a categorical split's words begin in ``Layout.bits``.
NODE = np.dtype(
    [("feature", "<u4"), ("child", "<u4"), ("threshold", "<f4"), ("value", "<f4"), ("bits", "<u4")], align=True
)
#: ``depth``: levels below the root. ``group``: the score that it adds to. ``word``, ``words``: its masks, none for a tree that is
#: walked through. ``leaf``: where its values begin in ``Layout.leaves``.
TREE = np.dtype([(name, "<u4") for name in ("root", "depth", "group", "word", "words", "leaf")])
#: An inner node, for one word. ``feature``: as in ``NODE``. Of a look-up by code, ``bits`` is where its masks begin in
#: ``Layout.lookups``; of one by bytes, ``bits`` is where its bytes begin in ``Layout.classes``, and ``mask`` where its masks do.
TEST = np.dtype([("feature", "<u4"), ("mask", "<u4"), ("threshold", "<f4"), ("bits", "<u4")])

MISSING_RIGHT, CATEGORICAL = 1 << 31, 1 << 30
FEATURE = CATEGORICAL - 1

#: Kinds of tests, in their order in a word: numbers of which a missing one goes left, or right; tests of a categorical feature
#: by one look-up, by code or by bytes; single tests of categories.
KINDS = 5
_BY_CODE, _BY_BYTES, _SINGLE = 2, 3, 4
#: Codes in a vector of bytes, and different masks of a look-up by bytes, which are in two vectors.
BYTES, CLASSES = 64, 32
#: A feature with more categories than this is tested split by split, as all are if the look-ups had more values together than the
#: second: they are fast in a core's cache.
MOST_LEVELS, MOST_LOOK_UPS = 1024, 2**22


@dataclass(frozen=True)
class Layout:
    """``tests``: sorted by word and kind; ``ends``: where each kind of each word ends, after a zero. ``leaves``: values by tree
    and leaf, padded to whole words. ``bits``: for each categorical split its number of words, and a bit for each category that
    goes right. ``levels``: by feature, how many categories its look-ups have, 0 for none. ``lookups``: by code, masks, for a
    missing value, for each category and for any other; by bytes, the ``CLASSES`` different ones of them. ``classes``: by bytes, in
    the same order, the number of the mask, padded to whole vectors."""

    trees: npt.NDArray[np.void]
    nodes: npt.NDArray[np.void]
    tests: npt.NDArray[np.void]
    ends: npt.NDArray[np.uint64]
    leaves: npt.NDArray[np.float32]
    bits: npt.NDArray[np.uint32]
    levels: npt.NDArray[np.uint32]
    lookups: npt.NDArray[np.uint32]
    classes: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Weights:
    """What DART multiplies each tree's leaves with, and the base margin of each tree's score: XGBoost adds a leaf to that margin,
    takes the margin off again, and applies the weight, so leaves are rounded here as there."""

    weights: npt.NDArray[np.float32]
    base: npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Nodes:
    """The nodes of all trees as their file has them, numbered through. ``features``: with the flags of ``NODE``; ``bits``: as
    there. ``levels``: the nodes that belong to a tree, from the roots down, siblings side by side."""

    tree: Integers
    left: Integers
    right: Integers
    inner: Flags
    features: npt.NDArray[np.uint32]
    values: npt.NDArray[np.float32]
    bits: npt.NDArray[np.uint32]
    levels: list[Integers]


def lay_out(
    trees: Sequence[Mapping[str, Any]], groups: Integers, weights: Weights | None = None, *, by_bytes: bool = False
) -> Layout:
    """The layout of a booster's ``trees``, as its file holds them, which ``structure`` has checked.

    ``groups``: the score that each tree adds to; ``weights``: of a DART booster; ``by_bytes``: how categories are looked up.
    """
    nodes, bits = _read(trees)
    if weights is not None:
        leaf = ~nodes.inner
        tree = nodes.tree[leaf]
        nodes.values[leaf] = ((weights.base[tree] + nodes.values[leaf]) - weights.base[tree]) * weights.weights[tree]
    depths = np.zeros(len(trees), np.int64)
    for depth, level in enumerate(nodes.levels):
        depths[nodes.tree[level]] = depth
    masked = np.bincount(nodes.tree[nodes.inner], minlength=len(trees)) <= MOST_TESTS_A_LEVEL * np.maximum(depths, 1)
    counts, first = _leaves(nodes)
    roots = nodes.levels[0]
    words = np.where(masked, -(-counts[roots] // WORD), 0)
    word = np.cumsum(words) - words
    order, walkable = _walkable(nodes)
    table = np.zeros(len(trees), TREE)
    columns = {
        "root": order[roots],
        "depth": depths,
        "group": groups,
        "word": word,
        "words": words,
        "leaf": word * WORD,
    }
    for name, column in columns.items():
        table[name] = column
    leaves = np.zeros(int(words.sum()) * WORD, np.float32)
    reached = np.concatenate(nodes.levels)
    ends = reached[~nodes.inner[reached] & masked[nodes.tree[reached]]]
    leaves[word[nodes.tree[ends]] * WORD + first[ends]] = nodes.values[ends]
    split = np.flatnonzero(nodes.inner & masked[nodes.tree])
    spans = first[split], counts[nodes.left[split]]
    tests, places = _tests(nodes, split, *spans, word)
    levels = _levels(tests, bits)
    tests, places, lookups, classes = _looked_up(tests, places, levels, bits, by_bytes=by_bytes)
    order = np.argsort(places, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(places, minlength=int(words.sum()) * KINDS))])
    return Layout(table, walkable, tests[order], ends.astype(np.uint64), leaves, bits, levels, lookups, classes)


def _read(trees: Sequence[Mapping[str, Any]]) -> tuple[_Nodes, npt.NDArray[np.uint32]]:
    """The nodes, and the bits of their categories."""
    sizes = np.array([len(tree["left_children"]) for tree in trees])
    starts = np.cumsum(sizes) - sizes
    joined = {name: np.concatenate([tree[name] for tree in trees]) for name in _ARRAYS}
    number = np.repeat(np.arange(len(trees)), sizes)
    left, right = (joined[f"{side}_children"].astype(np.int64) + starts[number] for side in ("left", "right"))
    inner = joined["left_children"] != -1
    levels = [starts]
    while len(below := levels[-1][inner[levels[-1]]]):
        levels.append(np.column_stack([left[below], right[below]]).ravel())
    reached = np.zeros(len(inner), np.bool_)
    reached[np.concatenate(levels)] = True
    features = joined["split_indices"].astype(np.uint32)
    features |= np.where(joined["default_left"], 0, MISSING_RIGHT).astype(np.uint32)
    features |= np.where(joined["split_type"], CATEGORICAL, 0).astype(np.uint32)
    at, bits = _categories(trees, starts)
    offsets = np.zeros(len(inner), np.uint32)
    offsets[list(at)] = list(at.values())
    values = joined["split_conditions"].astype(np.float32)
    return _Nodes(number, left, right, inner & reached, features, values, offsets, levels), bits


_ARRAYS = ("left_children", "right_children", "split_indices", "split_type", "default_left", "split_conditions")


def _categories(trees: Sequence[Mapping[str, Any]], starts: Integers) -> tuple[dict[int, int], npt.NDArray[np.uint32]]:
    """Where the words of each categorical split begin, by node, and all of them."""
    offsets: dict[int, int] = {}
    words: list[npt.NDArray[np.uint32]] = []
    size = 0
    for tree, start in zip(trees, starts.tolist(), strict=True):
        columns = (tree[f"categories_{name}"].tolist() for name in ("nodes", "segments", "sizes"))
        for node, begin, count in zip(*columns, strict=True):
            mine = tree["categories"][begin : begin + count].astype(np.int64)
            flags = np.zeros((int(mine.max()) // WORD + 1) * WORD, np.bool_)
            flags[mine] = True
            packed = np.packbits(flags, bitorder="little").view("<u4")
            offsets[start + node] = size
            words += [np.array([len(packed)], np.uint32), packed]
            size += 1 + len(packed)
    return offsets, np.concatenate(words) if words else np.zeros(1, np.uint32)


def _leaves(nodes: _Nodes) -> tuple[Integers, Integers]:
    """Of each node: how many leaves are below it (a leaf counts itself), and how many of its tree are to the left of these."""
    counts, first = np.ones(len(nodes.inner), np.int64), np.zeros(len(nodes.inner), np.int64)
    for level in reversed(nodes.levels):
        below = level[nodes.inner[level]]
        counts[below] = counts[nodes.left[below]] + counts[nodes.right[below]]
    for level in nodes.levels:
        below = level[nodes.inner[level]]
        first[nodes.left[below]] = first[below]
        first[nodes.right[below]] = first[below] + counts[nodes.left[below]]
    return counts, first


def _walkable(nodes: _Nodes) -> tuple[Integers, npt.NDArray[np.void]]:
    """The new number of each node, and the nodes in this order: by tree and level, siblings side by side."""
    reached = np.concatenate(nodes.levels)
    reached = reached[np.argsort(nodes.tree[reached], kind="stable")]
    order = np.zeros(len(nodes.inner), np.int64)
    order[reached] = np.arange(len(reached))
    inner, table = nodes.inner[reached], np.zeros(len(reached), NODE)
    table["feature"] = np.where(inner, nodes.features[reached], 0)
    table["child"] = order[np.where(inner, nodes.left[reached], reached)]
    table["threshold"] = np.where(inner, nodes.values[reached], np.nan)
    table["value"] = np.where(inner, 0, nodes.values[reached])
    table["bits"] = nodes.bits[reached]
    return order, table


def _tests(
    nodes: _Nodes, split: Integers, first: Integers, counts: Integers, word: Integers
) -> tuple[npt.NDArray[np.void], Integers]:
    """The tests of the nodes in ``split``, and their word and kind, of which the number is made. ``first``, ``counts``: the leaves
    below their left children."""
    last = first + counts - 1
    spans = last // WORD - first // WORD + 1
    node = np.repeat(np.arange(len(split)), spans)
    within = first[node] // WORD + np.arange(len(node)) - np.repeat(np.cumsum(spans) - spans, spans)
    low = np.maximum(first[node] - within * WORD, 0)
    high = np.minimum(last[node] - within * WORD, WORD - 1)
    features = nodes.features[split][node]
    numeric = np.where(features & MISSING_RIGHT, 1, 0)
    place = (word[nodes.tree[split]][node] + within) * KINDS + np.where(features & CATEGORICAL, _SINGLE, numeric)
    table = np.zeros(len(node), TEST)
    table["feature"] = np.where(features & CATEGORICAL, features, features & FEATURE)
    table["mask"] = ~(((1 << (high + 1)) - 1) & ~((1 << low) - 1)) & 0xFFFFFFFF
    table["threshold"], table["bits"] = nodes.values[split][node], nodes.bits[split][node]
    return table, place


def _levels(tests: npt.NDArray[np.void], bits: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """As ``Layout.levels``: the least that all splits of a feature need."""
    mine = tests[tests["feature"] & CATEGORICAL != 0]
    features = mine["feature"] & FEATURE
    levels = np.zeros(int(features.max()) + 1 if len(mine) else 0, np.uint32)
    words = bits[mine["bits"]]
    _, lengths = np.frexp(bits[mine["bits"] + words].astype(np.float64))  # the highest bit of the last word
    np.maximum.at(levels, features, (words - 1) * np.uint32(WORD) + lengths.astype(np.uint32))
    levels[levels > MOST_LEVELS] = 0
    return levels


def _looked_up(
    tests: npt.NDArray[np.void],
    places: Integers,
    levels: npt.NDArray[np.uint32],
    bits: npt.NDArray[np.uint32],
    *,
    by_bytes: bool,
) -> tuple[npt.NDArray[np.void], Integers, npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    """The tests and their places, with look-ups for all tests of a word by the same feature; ``Layout.lookups`` and ``classes``."""
    none = np.zeros(0, np.uint32), np.zeros(0, np.uint8)
    features = tests["feature"] & FEATURE
    chosen = np.flatnonzero(tests["feature"] & CATEGORICAL)
    chosen = chosen[levels[features[chosen]] > 0]
    chosen = chosen[np.lexsort((features[chosen], places[chosen]))]
    made = _look_ups(tests[chosen], places[chosen], levels, bits, CLASSES if by_bytes else None)
    if not made:
        return tests, places, *none
    table = np.zeros(len(made), TEST)
    table["feature"] = [one.feature for one in made]
    if by_bytes:
        lookups, classes, pieces = _in_classes([one.masks for one in made])
        table["bits"], table["mask"] = (np.cumsum(pieces) - pieces) * BYTES, np.arange(len(made)) * CLASSES
    else:
        lookups, classes = np.concatenate([one.masks for one in made]), none[1]
        sizes = np.array([len(one.masks) for one in made])
        table["bits"] = np.cumsum(sizes) - sizes
    kept = np.ones(len(tests), np.bool_)
    kept[chosen] = False
    shift = (_BY_BYTES if by_bytes else _BY_CODE) - _SINGLE
    return (
        np.concatenate([tests[kept], table]),
        np.concatenate([places[kept], np.array([one.place for one in made]) + shift]),
        lookups,
        classes,
    )


@dataclass(frozen=True)
class _LookUp:
    """Tests of the word ``place`` by one feature. ``masks``: for a missing value, for each category and for any other."""

    place: int
    feature: int
    masks: npt.NDArray[np.uint32]


def _look_ups(
    tests: npt.NDArray[np.void],
    places: Integers,
    levels: npt.NDArray[np.uint32],
    bits: npt.NDArray[np.uint32],
    most_masks: int | None,
) -> list[_LookUp]:
    """Look-ups for ``tests``, which are sorted by word and feature; none if they would have too many values together.

    ``most_masks``: how many different masks a look-up may have; None for any number.
    """
    made: list[_LookUp] = []
    size = 0
    for test, place in zip(tests, places.tolist(), strict=True):
        feature = int(test["feature"] & FEATURE)
        masks = _masks(test, int(levels[feature]), bits)
        if made and (made[-1].place, made[-1].feature) == (place, feature):
            both = made[-1].masks & masks
            if most_masks is None or len(np.unique(both)) <= most_masks:
                made[-1] = _LookUp(place, feature, both)
                continue
        made.append(_LookUp(place, feature, masks))
        size += len(masks)
        if size > MOST_LOOK_UPS:
            return []
    return made


def _masks(test: np.void, levels: int, bits: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """The masks of one test, as ``_LookUp`` has them."""
    begin = int(test["bits"])
    words = bits[begin + 1 : begin + 1 + int(bits[begin])]
    right = np.flatnonzero(np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little"))
    masks = np.full(levels + 2, 0xFFFFFFFF, np.uint32)
    masks[1 + right] = test["mask"]
    if test["feature"] & MISSING_RIGHT:
        masks[0] = test["mask"]
    return masks


def _in_classes(
    tables: Sequence[npt.NDArray[np.uint32]],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8], Integers]:
    """The different masks of each table, the number of the mask by code, both padded, and how many vectors of bytes each has."""
    pieces = np.array([-(-len(masks) // BYTES) for masks in tables])
    palettes = np.zeros((len(tables), CLASSES), np.uint32)
    classes = np.zeros((int(pieces.sum()), BYTES), np.uint8)
    at = 0
    for palette, masks, count in zip(palettes, tables, pieces.tolist(), strict=True):
        different, classes.reshape(-1)[at * BYTES : at * BYTES + len(masks)] = np.unique(masks, return_inverse=True)
        palette[: len(different)] = different
        at += count
    return palettes.ravel(), classes.ravel(), pieces
