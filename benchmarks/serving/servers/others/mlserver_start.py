"""Writes MLServer's two settings files to the working folder, then executes ``mlserver start``: MODEL PORT."""

import json
import os
import sys
from pathlib import Path

model, port = Path(sys.argv[1]), int(sys.argv[2])
settings = {
    "host": "127.0.0.1",
    "http_port": port,
    "grpc_port": port + 1 if port < 65535 else port - 1,
    "metrics_endpoint": None,
    "parallel_workers": 0,  # with a pool of workers, each request passes through two processes
}
Path("settings.json").write_text(json.dumps(settings))
Path("model-settings.json").write_text(
    json.dumps({"name": "bench", "implementation": "mlserver_xgboost.XGBoostModel", "parameters": {"uri": str(model)}})
)
os.execv(Path(sys.executable).parent / "mlserver", ["mlserver", "start", "."])
