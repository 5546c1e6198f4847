"""The trial of a trained model before it is registered: loaded, and given sample rows to score, in a process of its own.

A damaged model may end the process that loads it. Here that is this process's finding, not the service's end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from app.errors import CallerError, PermanentError
from app.registry.artifact import Artifact

#: Seconds for the trial. Loading the largest models takes a few.
TIMEOUT_S = 300.0

_ROOT = Path(__file__).parents[2]


def run_trial(artifact: Artifact, timeout_s: float = TIMEOUT_S) -> int:
    """The number of rows that the model scored. Raises PermanentError if it cannot be loaded, or does not score each row."""
    command = [sys.executable, "-m", "sagemaker_entry.model_file.trial", str(artifact.folder)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH")))),
    }
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=artifact.folder,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PermanentError(
            f"the model did not score sample rows within {timeout_s:g} s; train a smaller one"
        ) from None
    if done.returncode:
        raise _failure(done.returncode, done.stderr)
    outcome = json.loads(done.stdout.splitlines()[-1])
    if not outcome["finite"]:
        raise PermanentError("the model does not return one finite score for each sample row; it is not registered")
    return int(outcome["rows"])


def _failure(code: int, errors: str) -> CallerError | PermanentError:
    if code < 0:
        return PermanentError(
            f"the process that loaded the model ended by {signal.Signals(-code).name}, so the model is not registered; train again"
        )
    last = errors.strip().splitlines()[-1] if errors.strip() else f"exit code {code}"
    if "No module named 'xgboost'" in last:
        return CallerError("registering a model needs XGBoost, to try it; install snowsage[embedded]")
    kind, _, text = last.partition(": ")
    return PermanentError(f"the model cannot be loaded and is not registered: {text or kind}")
