"""Saved boosters, damaged at random, and what becomes of them: loaded and used in a process that may die of them.

Run as a module, this file is that process: it reads a pickled list of files and prints one outcome a line.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import xgboost

from sagemaker_entry.contract import Column, Contract
from sagemaker_entry.model import CONTRACT_FILE, MODEL_FILE, Model
from sagemaker_entry.model_file.structure import DamagedModel

CATEGORIES = tuple("abcdefghijkl")
KINDS = ("numbers", "categories", "dart", "classes", "pruned", "forest")


def saved(kind: str) -> tuple[bytes, Contract, np.ndarray]:
    """A small booster of one kind as XGBoost saves it, its contract, and rows to score."""
    chance = np.random.default_rng(3)
    matrix = chance.normal(size=(400, 4)).astype(np.float32)
    matrix[:, 3] = chance.integers(0, len(CATEGORIES), len(matrix))
    last = Column("D", "category", CATEGORIES) if kind in ("categories", "dart") else Column("D")
    contract = Contract((Column("A"), Column("B"), Column("C"), last), key=("ID",), label="L")
    label = ((matrix[:, 0] > 0) ^ np.isin(matrix[:, 3], [1, 5, 7])).astype(np.float32)
    parameters = {"objective": "binary:logistic", "max_depth": 3, "max_cat_to_onehot": 1, "nthread": 1} | {
        "dart": {"booster": "dart", "rate_drop": 0.5},
        "classes": {"objective": "multi:softprob", "num_class": 3},
        "pruned": {"tree_method": "exact", "gamma": 12, "max_depth": 5},
        "forest": {"num_parallel_tree": 2, "subsample": 0.5},
    }.get(kind, {})
    kinds = ["c" if column.categories else "q" for column in contract.columns]
    label = chance.integers(0, 3, len(label)) if kind == "classes" else label
    data = xgboost.DMatrix(matrix, label, feature_names=contract.names, feature_types=kinds, enable_categorical=True)
    return bytes(xgboost.train(parameters, data, 3).save_raw("ubj")), contract, matrix


def mutate(body: bytes, chance: random.Random) -> bytes:
    """``body`` with some bytes replaced, removed, repeated or exchanged, or cut."""
    found, at = bytearray(body), chance.randrange(len(body) - 4)
    size = chance.choice([1, 2, 4, 8, 50])
    match chance.randrange(10):
        case 0 | 1 | 2 | 3:
            for _ in range(chance.choice([1, 1, 2, 4])):
                found[chance.randrange(len(found))] = chance.choice([0, 1, 2, 0x7F, 0x80, 0xFF, chance.randrange(256)])
        case 4 | 5:
            odd = [2**31 - 1, 2**32 - 1, 0, 1, 2, 3, 0x7F800000, 0xFFC00000]
            found[at : at + 4] = chance.choice(odd).to_bytes(4, "big")
        case 6:
            del found[at : at + size]
        case 7:
            found[at:at] = found[at : at + size]
        case 8:
            del found[at:]
        case _:
            other = chance.randrange(len(body) - 4)
            found[at : at + 4], found[other : other + 4] = found[other : other + 4], found[at : at + 4]
    return bytes(found)


def outcomes(files: list[bytes], contract: Contract, matrix: np.ndarray, folder: Path) -> Counter[str]:
    """How often a file was ``refused``, was ``used``, made XGBoost raise (``raised``), or ended its process (``died``)."""
    (folder / CONTRACT_FILE).write_text(json.dumps(contract.to_dict()))
    (folder / "files.pickle").write_bytes(pickle.dumps((files, matrix)))
    found: Counter[str] = Counter()
    done = 0
    while done < len(files):
        command = [sys.executable, "-m", "tests.support.mutants", str(folder), str(done)]
        process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        lines = process.stdout.decode().splitlines()
        found.update(lines)
        done += len(lines)
        if done < len(files):
            found["died"] += 1
            (folder / f"died-{done}.ubj").write_bytes(files[done])
            done += 1
    return found


def _use(folder: Path, body: bytes, matrix: np.ndarray) -> str:
    (folder / MODEL_FILE).write_bytes(body)
    try:
        model = Model.load(folder, threads=1)
    except DamagedModel:
        return "refused"
    try:
        model.predict(matrix)
        model.reasons(matrix[:20], 2)
    except xgboost.core.XGBoostError:
        return "raised"
    return "used"


def main(folder: Path, start: int) -> None:
    """Print the outcome of each file from the one numbered ``start`` on."""
    files, matrix = pickle.loads((folder / "files.pickle").read_bytes())
    for body in files[start:]:
        os.write(1, f"{_use(folder, body, matrix)}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
