"""The pipeline file: its models (``schema``) and its reader (``reading``)."""

from app.spec.reading import FILE_NAME, PipelineFile, load
from app.spec.schema import FeatureView, Pipeline, json_schema

__all__ = ["FILE_NAME", "FeatureView", "Pipeline", "PipelineFile", "json_schema", "load"]
