"""The service against its OpenAPI description: responses to the requests that schemathesis generates conform to it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.serve.service import Service
from tests.unit.serve.fakes import SECRET

# The description does not contain a model's features, their range and the ids of batches, so a request that conforms may
# still be rejected.
CONFIGURATION = """
[parameters]
"path.model" = "churn"
"path.version" = "v1"

[checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 404]
"""


@pytest.mark.slow
def test_every_operation_conforms_to_the_description(churn: Service, tmp_path: Path, long: bool) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    how_many = ["--max-examples", "500"] if long else ["--max-examples", "10", "--seed", "1"]
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run", *how_many]
    command += ["--checks", "all", "--phases", "examples,coverage,fuzzing", "--no-color", "--continue-on-failure"]
    command += ["--header", f"x-snowsage-secret: {SECRET}", f"{churn.client.base_url}/openapi.json"]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=3600 if long else 900,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    operations = churn.get("/openapi.json").json()["paths"].values()
    count = sum(len(methods) for methods in operations)
    assert f"Tested: {count}" in run.stdout
    made = re.search(r"(\d+) generated, (\d+) passed", run.stdout)
    assert made is not None, run.stdout
    assert int(made[1]) == int(made[2]) > 20 * count
    print(made[0])
