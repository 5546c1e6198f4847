"""The engines of both comparisons, and their environments.

``install`` creates an environment from its pinned list in ``pins/``. An engine without one is left out, and the results say so.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PINS = Path(__file__).parent / "pins"
KEYS = ("polars", "pandas", "spark", "feast")


@dataclass(frozen=True)
class Engine:
    """``environment``: the key of its own one; None: this program's. ``job``: what else the worker gets.

    ``commands``: what it runs, in their order. ``most_orders``: larger logs are not given to it.
    """

    name: str
    script: str
    environment: str | None = None
    job: dict[str, Any] = field(default_factory=dict)
    commands: tuple[str, ...] = ("compute",)
    most_orders: int = 2**40

    def python(self, environments: Path) -> Path:
        """The interpreter that runs the worker."""
        return Path(sys.executable) if self.environment is None else environments / self.environment / "bin" / "python"

    def absent(self, environments: Path) -> str | None:
        """Why it cannot run, if it cannot."""
        if not self.python(environments).exists():
            return f"not installed; `python -m benchmarks.features peers install {self.environment}`"
        if self.environment == "spark" and shutil.which("java") is None:
            return "no Java runtime; install one, such as default-jre-headless"
        return None


PRODUCT = Engine("snowsage", "product.py", commands=("plan", "compute", "plan several", "several"))
HELPERS = Engine(
    "snowsage, by helpers alone",
    "product.py",
    job={"define": "definitions.py:customer_orders_by_helpers"},
    commands=("plan", "compute"),
    most_orders=20_000_000,
)
SQL = Engine("DuckDB, SQL by hand", "duckdb_sql.py", commands=("compute", "several"))
SPARK = Engine("PySpark, local mode", "spark.py", "spark")
FEATURES = (
    SQL,
    PRODUCT,
    HELPERS,
    Engine("Polars", "polars_frame.py", "polars"),
    Engine("pandas", "pandas_frame.py", "pandas", most_orders=20_000_000),
    SPARK,
)

WINDOWS_SQL = Engine("DuckDB, SQL by hand, from rows", "windows_sql.py")
FROM_ROWS = Engine(
    "snowsage, from rows", "windows_product.py", job={"windows_of": "rows"}, commands=("plan", "compute")
)
FROM_TILES = Engine(
    "snowsage, from daily tiles",
    "windows_product.py",
    job={"windows_of": "tiles"},
    commands=("plan", "tiles", "compute"),
)
WINDOWS = (WINDOWS_SQL, FROM_ROWS, FROM_TILES)

ASOF = Engine("DuckDB, ASOF JOIN by hand", "join_duckdb.py")
JOINED = Engine("snowsage", "join_product.py")
FEAST = Engine("Feast, DuckDB offline store", "join_feast.py", "feast")
JOINS = (
    ASOF,
    Engine("DuckDB, ASOF JOIN of the Parquet files", "join_duckdb.py", job={"from_files": True}),
    JOINED,
    FEAST,
)


def install(key: str, environments: Path) -> None:
    """Create the environment of one key from its list, which pins every package, so that nothing is resolved."""
    folder = environments / key
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "--no-deps", "--requirement", str(PINS / f"{key}.txt")], check=False)
    if done.returncode != 0:
        sys.exit(f"{key} could not be installed; pip's words stand above")
