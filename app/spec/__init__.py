"""The pipeline file: what it may say (``schema``) and how it is read (``reading``)."""

from app.spec.reading import FILE_NAME, PipelineFile, load
from app.spec.schema import FeatureView, Pipeline, json_schema

__all__ = ["FILE_NAME", "FeatureView", "Pipeline", "PipelineFile", "json_schema", "load"]
