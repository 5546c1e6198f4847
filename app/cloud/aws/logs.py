"""CloudWatch Logs: the last lines that a training job or an endpoint wrote."""

from __future__ import annotations

from app.cloud.aws.session import AwsSession, translated
from app.errors import NotFound


def log_tail(session: AwsSession, group: str, stream_prefix: str, lines: int) -> list[str]:
    """The last ``lines`` lines of the newest stream with that prefix, or of all streams; empty if nothing was written yet."""
    client = session.client("logs")
    prefix = {"logStreamNamePrefix": stream_prefix} if stream_prefix else {}
    try:
        with translated(f"reading the log group {group}"):
            streams = client.describe_log_streams(logGroupName=group, **prefix)["logStreams"]
            if not streams:
                return []
            name = max(streams, key=lambda stream: stream.get("creationTime", 0))["logStreamName"]
            events = client.get_log_events(logGroupName=group, logStreamName=name, limit=lines, startFromHead=False)[
                "events"
            ]
    except NotFound:
        return []
    return [str(item["message"]).rstrip() for item in events][-lines:]
