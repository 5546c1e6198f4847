"""AWS: one boto3 session from the default credential chain, its clients, and the translation of its errors.

boto3 finds profile, region and address: ``AWS_PROFILE``, ``AWS_REGION`` or ``AWS_DEFAULT_REGION``, and ``AWS_ENDPOINT_URL`` for
the local cloud.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore import exceptions
from botocore.config import Config

from app.errors import CallerError, NotFound, Overloaded, PermanentError, SnowsageError, TransientError, Unauthorized

_NOT_FOUND = {"NoSuchKey", "NoSuchBucket", "404", "ResourceNotFound", "ResourceNotFoundException"}
#: SageMaker reports this as a ValidationException; only its text says so.
_NOT_FOUND_WORDS = ("Could not find", "Requested resource not found")
_REFUSED = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    "403",
}
_MAY_PASS = {
    "InternalDependencyException",
    "InternalFailure",
    "InternalServerException",
    "ResourceInUse",
    "ResourceLimitExceeded",
    "ServiceUnavailable",
}
_TOO_MUCH = {
    "ModelNotReadyException",  # 429 of a serverless endpoint that is starting
    "RequestLimitExceeded",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}


class AwsSession:
    """A boto3 session and its clients, each made when it is first used."""

    def __init__(self, boto_session: boto3.Session | None = None) -> None:
        with translated("reading AWS's settings"):
            self.boto = boto_session or boto3.Session(region_name=os.environ.get("AWS_REGION"))
        if self.boto.region_name is None:
            raise CallerError("no AWS region is set; set AWS_REGION, or a region in the profile that AWS_PROFILE names")

    @property
    def region(self) -> str:
        """The region in use."""
        return str(self.boto.region_name)

    def client(self, service: str, **options: Any) -> Any:
        """A client that makes up to three attempts on transient errors. ``options`` are botocore's Config fields."""
        retries = {"mode": "standard", "total_max_attempts": 3}
        config = Config(**{"retries": retries, "connect_timeout": 10, "read_timeout": 60, **options})
        return self.boto.client(service, config=config)  # type: ignore[call-overload]


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Translates AWS's errors and adds what was being done; the product's own errors pass."""
    try:
        yield
    except SnowsageError:
        raise
    except exceptions.ClientError as error:
        raise _translate(error, what) from error
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.TokenRetrievalError) as error:
        raise Unauthorized(
            f"{what}: AWS finds no credentials; log in (`aws sso login`), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and its secret"
        ) from error
    except (exceptions.ProfileNotFound, exceptions.ParamValidationError) as error:
        raise CallerError(f"{what}: {error}") from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.IncompleteReadError) as error:
        raise TransientError(f"{what}: AWS cannot be reached: {error}") from error
    except Boto3Error as error:
        raise TransientError(f"{what}: {error}") from error
    except exceptions.BotoCoreError as error:
        raise PermanentError(f"{what}: {error}") from error


def _translate(error: exceptions.ClientError, what: str) -> SnowsageError:
    code, text = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    if code in _NOT_FOUND or any(words in text for words in _NOT_FOUND_WORDS):
        return NotFound(f"{what}: {text or 'it does not exist'} ({code})")
    if code in _REFUSED:
        return Unauthorized(f"{what}: AWS refuses it: {text} ({code})")
    if code == "ResourceLimitExceeded" and re.search(r"\bis 0 \w+", text):
        return CallerError(f"{what}: {text} Ask for it in AWS's Service Quotas, or choose another instance type")
    if code in _TOO_MUCH:
        return Overloaded(f"{what}: {text} ({code})")
    if code in _MAY_PASS:
        return TransientError(f"{what}: {text} ({code})")
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400) >= 500:
        return TransientError(f"{what}: {text} ({code})")
    return CallerError(f"{what}: {text} ({code})")
