"""The online service over HTTP, as ``deploy`` uses it: implements ``ports.ServiceControl``."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from app.errors import CallerError, PermanentError, TransientError, Unauthorized
from app.serve.security.credentials import HEADER

_TIMEOUT_S = 30


class ServiceClient:
    """Calls to one service at ``url``, with its shared secret."""

    def __init__(self, url: str, secret: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise CallerError(f"SNOWSAGE_API_URL must begin with http:// or https://, it is {url!r}")
        self._url = url.rstrip("/")
        self._secret = secret

    def reach(self) -> None:
        request = urllib.request.Request(f"{self._url}/v2/health/live")  # noqa: S310  # the scheme is checked above
        try:
            urllib.request.urlopen(request, timeout=_TIMEOUT_S).close()  # noqa: S310
        except urllib.error.HTTPError as error:
            error.close()  # it answers; what it says is not about being there
        except (HTTPException, OSError) as error:
            raise _silent(self._url, error) from error

    def refresh(self, model: str) -> Mapping[str, Any]:
        request = urllib.request.Request(  # noqa: S310  # the scheme is checked above
            f"{self._url}/models/{model}/refresh", method="POST", data=b"", headers={HEADER: self._secret}
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
                found: Mapping[str, Any] = json.load(response)
                return found
        except urllib.error.HTTPError as error:
            with error:
                raise _translate(error.code, error.read(300).decode(errors="replace"), self._url) from error
        except (HTTPException, OSError) as error:
            raise _silent(self._url, error) from error


def _silent(url: str, error: Exception) -> TransientError:
    reason = getattr(error, "reason", error)
    return TransientError(f"the service does not answer at {url}: {reason}; start it with `snowsage serve`")


def _translate(status: int, text: str, url: str) -> Exception:
    if status in (401, 403):
        return Unauthorized(
            f"the service at {url} refuses the secret; SNOWSAGE_SECRET must be one of its SNOWSAGE_SECRETS"
        )
    if status in (429, 502, 503, 504):
        return TransientError(f"the service at {url} is busy: {text}")
    return PermanentError(f"the service at {url} answered {status}: {text}")
