"""A first pipeline folder for a table, with comments: ``snowsage init``."""

from app.spec.draft.folder import Request
from app.spec.draft.plan import Draft, check_name, find_key_names, plan_draft

__all__ = ["Draft", "Request", "check_name", "find_key_names", "plan_draft"]
