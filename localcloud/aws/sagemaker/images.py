"""Container images that the local AWS stands for."""

from __future__ import annotations

#: Part of the URI of every SageMaker XGBoost image.
XGBOOST = "sagemaker-xgboost:"
