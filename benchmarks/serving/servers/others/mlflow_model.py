"""Logs the booster as an MLflow model with a signature of doubles, NULL allowed, then serves it: MODEL PORT."""

import os
import shutil
import sys
from pathlib import Path

import mlflow.xgboost
import xgboost
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

model, port = sys.argv[1:]
booster = xgboost.Booster({"nthread": 1}, model_file=model)
features = [ColSpec("double", f"F{index}", required=False) for index in range(booster.num_features())]
signature = ModelSignature(Schema(features), Schema([ColSpec("float")]))
shutil.rmtree("logged", ignore_errors=True)
mlflow.xgboost.save_model(booster, "logged", signature=signature, model_format="ubj")
program = Path(sys.executable).parent / "mlflow"
options = ["--env-manager", "local", "--host", "127.0.0.1", "--port", port, "--timeout", "300"]
options += ["--workers", os.environ["BENCH_WORKERS"]]
os.execv(program, [program, "models", "serve", "--model-uri", "logged", *options])
