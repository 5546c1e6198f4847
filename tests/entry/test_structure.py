"""The structure of a booster's file: what XGBoost saves passes, and damaged files are refused or harmless."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.model_file import structure, ubjson
from sagemaker_entry.model_file.structure import DamagedModel
from tests.support.mutants import CATEGORIES, KINDS, mutate, outcomes, saved


def patched(body: bytes, name: str, position: int, value: int, size: int = 4) -> bytes:
    """``body`` with the element at ``position`` of the first typed array of this name replaced."""
    at = body.index(name.encode()) + len(name) + len(b"[$l#L") + 8 + position * size
    return body[:at] + value.to_bytes(size, "big", signed=value < 0) + body[at + size :]


@pytest.mark.parametrize("kind", KINDS)
def test_what_xgboost_saves_passes(kind: str) -> None:
    body, contract, _ = saved(kind)
    structure.check(body, contract)
    for cut in (0, 1, len(body) // 2, len(body) - 1):
        with pytest.raises(DamagedModel, match=r"damaged: .* at byte"):
            structure.check(body[:cut], contract)


def test_pruned_trees_have_deleted_nodes() -> None:
    trees = ubjson.read(saved("pruned")[0])["learner"]["gradient_booster"]["model"]["trees"]
    assert any(tree["tree_param"]["num_deleted"] != "0" for tree in trees)


@pytest.mark.parametrize(
    ("name", "position", "value", "text"),
    [
        ("left_children", 0, 2**31 - 1, "a child is no node"),
        ("left_children", 0, 0, "a child is no node"),
        ("left_children", 0, -2, "a child is no node"),
        ("left_children", 0, -1, "a node has one child"),
        ("left_children", 0, 2, "child of two nodes|parent is another"),
        ("right_children", 1, 1, "child of two nodes|parent is another"),
        ("parents", 0, 1, "a root has a parent"),
        ("parents", 1, 2**31 - 1, "a parent is no node"),
        ("parents", 1, 2, "parent is another"),
        ("split_indices", 0, 4, "feature is none"),
        ("split_indices", 0, -1, "feature is none"),
        ("split_indices", 1, 2**31 - 1, "feature is none|deleted"),
        ("categories", 0, 12, "a category is none of the contract's"),
        ("categories", 0, 2**31 - 1, "a category is none of the contract's"),
        ("categories", 0, -1, "a category is none of the contract's"),
        ("categories_nodes", 0, 10_000, "no node"),
    ],
)
def test_numbers_that_are_followed_are_checked(name: str, position: int, value: int, text: str) -> None:
    body, contract, _ = saved("categories")
    with pytest.raises(DamagedModel, match=text):
        structure.check(patched(body, name, position, value), contract)


@pytest.mark.parametrize("value", [-1, 1, 2**62])
@pytest.mark.parametrize("name", ["categories_segments", "categories_sizes"])
def test_the_places_of_categories_are_within_their_list(name: str, value: int) -> None:
    body, contract, _ = saved("categories")
    found = patched(body, name, 0, value if name == "categories_segments" or value != 1 else 10**6, size=8)
    with pytest.raises(DamagedModel, match="outside the list"):
        structure.check(patched(found, name, 0, 2**40, size=8) if value == 1 else found, contract)


@pytest.mark.parametrize(
    ("kind", "old", "new", "text"),
    [
        ("numbers", b"num_nodesSL\0\0\0\0\0\0\0\x02", b"num_nodesSL\0\0\0\0\0\0\0\x01", "damaged"),
        ("numbers", b"binary:logistic", b"binary:logistik", "objective is unknown"),
        ("numbers", b"num_classSL\0\0\0\0\0\0\0\x010", b"num_classSL\0\0\0\0\0\0\0\x013", "several classes"),
        ("classes", b"num_classSL\0\0\0\0\0\0\0\x013", b"num_classSL\0\0\0\0\0\0\0\x010", "num_class"),
        ("numbers", b"num_targetSL\0\0\0\0\0\0\0\x011", b"num_targetSL\0\0\0\0\0\0\0\x012", "several targets"),
        ("numbers", b"idi\x01", b"idi\x00", "id is not its position"),
        ("numbers", b"num_treesSL\0\0\0\0\0\0\0\x013", b"num_treesSL\0\0\0\0\0\0\0\x014", "number of its trees"),
        ("numbers", b"nameSL\0\0\0\0\0\0\0\x06gbtree", b"nameSL\0\0\0\0\0\0\0\x06gbtrei", "neither gbtree nor dart"),
        ("numbers", b"left_children", b"left_childrem", "left_children has another type"),
        ("numbers", b"sum_hessian[$d", b"sum_hessian[$l", "sum_hessian has another type"),
        ("classes", b"tree_info[#L\0\0\0\0\0\0\0\x09i\0", b"tree_info[#L\0\0\0\0\0\0\0\x09i\3", "belongs to no class"),
        (
            "numbers",
            b"size_leaf_vectorSL\0\0\0\0\0\0\0\x011",
            b"size_leaf_vectorSL\0\0\0\0\0\0\0\x012",
            "several values",
        ),
    ],
)
def test_counts_and_names_that_xgboost_relies_on_are_checked(kind: str, old: bytes, new: bytes, text: str) -> None:
    body, contract, _ = saved(kind)
    assert old in body
    with pytest.raises(DamagedModel, match=text):
        structure.check(body.replace(old, new, 1), contract)


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ((Column("A"), Column("B"), Column("C")), "the booster takes 4 features, its contract names 3"),
        ((Column("A"), Column("B"), Column("C"), Column("D")), "categorical features are not those"),
        ((Column("A"), Column("B"), Column("C"), Column("D", "category", CATEGORIES[:2])), "none of the contract's"),
    ],
)
def test_a_booster_of_other_features_is_refused(columns: tuple[Column, ...], text: str) -> None:
    with pytest.raises(DamagedModel, match=text):
        structure.check(saved("categories")[0], Contract(columns, key=("ID",), label="L"))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[", b"[#", b"{}x", b"[" * 5000, b"[#L" + b"\x7f" * 8, b"S", b"\xff", b"N"]
)
def test_any_bytes_are_a_value_or_an_error(body: bytes) -> None:
    with pytest.raises(ubjson.UbjsonError):
        ubjson.read(body)


def damaged(kind: str, count: int, folder: Path) -> Counter[str]:
    chance = random.Random(f"{kind} {count}")
    body, contract, matrix = saved(kind)
    return outcomes([mutate(body, chance) for _ in range(count)], contract, matrix, folder)


def test_hundreds_of_damaged_files_are_refused_or_harmless(tmp_path: Path) -> None:
    found = damaged("categories", 400, tmp_path)
    assert not found["died"], found
    assert found["refused"] > 200
    assert found["used"] > 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_damaged_files_are_refused_or_harmless(tmp_path: Path, kind: str) -> None:
    found = damaged(kind, 2000, tmp_path)
    assert not found["died"], found


def test_a_large_model_is_checked_in_one_pass() -> None:
    body, contract, matrix = saved("numbers")
    trees = ubjson.read(body)["learner"]["gradient_booster"]["model"]["trees"]
    many = [{**trees[0], "id": number} for number in range(2000)]
    structure._check_nodes(many, contract)
    many[1500] = {**many[1500], "split_indices": np.full_like(trees[0]["split_indices"], len(contract.names))}
    with pytest.raises(structure._Fault, match="feature is none"):
        structure._check_nodes(many, contract)
    assert len(matrix)
