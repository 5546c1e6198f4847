"""The keys of a pipeline file with their meanings and examples, as frozen pydantic models.

Validation, the JSON Schema in the docs, and the examples in error messages are made from these models, so they always agree.
"""

from app.spec.schema.data import AsOf, FeatureView, Label, Source, Tiles
from app.spec.schema.pipeline import Pipeline, json_schema
from app.spec.schema.serving import Batch, Monitoring, Serving, ServingInstance
from app.spec.schema.training import MORE_IS_BETTER, Gate, SplitBy, Training

__all__ = [
    "MORE_IS_BETTER",
    "AsOf",
    "Batch",
    "FeatureView",
    "Gate",
    "Label",
    "Monitoring",
    "Pipeline",
    "Serving",
    "ServingInstance",
    "Source",
    "SplitBy",
    "Tiles",
    "Training",
    "json_schema",
]
