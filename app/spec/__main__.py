"""``python -m app.spec``: the pipeline file's JSON Schema, as it stands in the docs."""

import json
import sys

from app.spec import json_schema

sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
