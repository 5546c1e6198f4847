"""XGBoost is imported without scikit-learn, which stays importable."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import sagemaker_entry.inference, sagemaker_entry.model_file.trial
from sagemaker_entry.engine import xgboost
loaded = [name for name in sys.modules if name.startswith(("sklearn", "scipy.stats"))]
assert not loaded, loaded
from sklearn import metrics
assert metrics.roc_auc_score([0, 1], [0.1, 0.2]) == 1
"""


def test_scikit_learn_is_imported_only_on_request() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
