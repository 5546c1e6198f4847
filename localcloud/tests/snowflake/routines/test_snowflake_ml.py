"""Snowflake ML's own estimators, fitted and applied in the local Snowflake by the package as Snowflake publishes it.

The package needs older versions of pandas and other libraries, so it gets an environment of its own, in which the server runs, too.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # installs packages

_PACKAGE = "snowflake-ml-python==2.6.0"
_SCRIPT = """
import os, pathlib, sys, tomllib
import numpy as np, pandas as pd
from localcloud.cloud import LocalCloud

with LocalCloud(pathlib.Path(sys.argv[1])) as cloud:
    os.environ.update(cloud.environment)
    settings = tomllib.loads((cloud.state / "connections.toml").read_text())["localcloud"]
    from snowflake.ml.modeling.xgboost import XGBClassifier
    from snowflake.snowpark import Session

    with Session.builder.configs(settings).create() as session:
        session.use_schema("PUBLIC")
        inputs = np.random.default_rng(1).normal(size=(400, 2))
        frame = pd.DataFrame({"A": inputs[:, 0], "B": inputs[:, 1], "LABEL": (inputs.sum(axis=1) > 0).astype(int)})
        session.create_dataframe(frame).write.save_as_table("TRAINING")
        model = XGBClassifier(input_cols=["A", "B"], label_cols=["LABEL"], output_cols=["PREDICTED"], n_estimators=5)
        model.fit(session.table("TRAINING"))
        found = model.predict(session.table("TRAINING")).to_pandas()
        print("right:", int((found.PREDICTED == found.LABEL).sum()), "of", len(found))
"""


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the package, over the packages of this one."""
    folder = tmp_path_factory.mktemp("ml") / "environment"
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    site = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(folder), "platbase": str(folder)}))
    (site / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return python


def test_an_estimator_of_snowflake_ml_fits_and_predicts(interpreter: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [str(interpreter), "-c", _SCRIPT, str(tmp_path / "state")],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("right:")]
    right = int(line.split()[1])
    assert line.endswith(" of 400")
    assert right > 380
