"""The XGBoost container's own server on this machine: CHECKOUT MODEL PORT.

Its Flask application runs under its own gunicorn class with its own options; only the address differs, 127.0.0.1 instead of
0.0.0.0. There is no nginx in front of it. ``collections.Mapping`` is restored, as the container's Dockerfile does.
"""

import collections
import collections.abc
import os
import shutil
import sys
from pathlib import Path

checkout, model, port = sys.argv[1:]
collections.Mapping = collections.abc.Mapping
sys.path.insert(0, str(Path(checkout) / "src"))

folder = Path("opt-ml").resolve()
(folder / "model").mkdir(parents=True, exist_ok=True)
shutil.copy(model, folder / "model" / "xgboost-model")
os.environ |= {"BASE_DIR": str(folder), "SM_MODEL_DIR": str(folder / "model"), "OMP_NUM_THREADS": "1"}

from sagemaker_xgboost_container.algorithm_mode import serve  # noqa: E402

serve.GunicornApplication(
    serve.ScoringService.app,
    {
        "bind": f"127.0.0.1:{port}",
        "workers": serve.number_of_workers(),
        "worker_class": "gevent",
        "keepalive": 60,
        "post_worker_init": serve.ScoringService.post_worker_init,
    },
).run()
