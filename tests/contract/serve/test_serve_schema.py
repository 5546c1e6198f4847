"""What ``/openapi.json`` says against what the running service does: schemathesis, with all of its checks.

``SNOWSAGE_FUZZ_EXAMPLES``: how many requests are made up for each operation.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.contract.serve.running import Service
from tests.unit.serve.fakes import SECRET

EXAMPLES = os.environ.get("SNOWSAGE_FUZZ_EXAMPLES", "5")


def test_the_service_does_what_its_description_says(churn: Service, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{churn.client.base_url}/openapi.json",
        "--checks=all", f"--max-examples={EXAMPLES}", f"--header=x-snowsage-secret: {SECRET}", "--seed=7",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
