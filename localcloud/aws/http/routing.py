"""The front door: which service and operation a request means, and who answers it.

A table of handlers answers what the local AWS does for real; everything else goes on to moto unchanged. The surprise:
SageMaker operations that moto *pretends* to do (a processing job that is Completed at once, without a result) are refused
here, because an invented success is worse than an error. ``_RECORDS`` lists what moto really keeps.
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias
from urllib.parse import parse_qsl

from localcloud.aws.http import protocol
from localcloud.aws.http.operations import signed_service
from localcloud.aws.http.protocol import AwsError, Environ, Handler, NotOurs, StartResponse, WsgiApp
from localcloud.aws.sagemaker import validation

_log = logging.getLogger(__name__)

QueryHandler: TypeAlias = Callable[[dict[str, str]], str]

# SageMaker operations of moto that only keep records, so that what moto answers is true.
_RECORDS = re.compile(
    r"(Create|Describe|Update|Delete|List)"
    r"(ModelPackageGroup|ModelPackage|ModelCard|ModelCardVersion|Experiment|Trial|TrialComponent|FeatureGroup)s?"
    r"|(Associate|Disassociate)TrialComponent"
)
_WITH_TEMPLATE = {"CreateStack", "UpdateStack", "CreateChangeSet"}
_INVOCATIONS = re.compile(
    r"^/endpoints/(?P<name>[^/]+)/(?P<kind>invocations|async-invocations|invocations-response-stream)$"
)


class Front:
    """A WSGI application. ``sagemaker``: operation to handler; ``iam``: action to query handler; ``invoke``: kind of
    invocation to what answers it."""

    def __init__(
        self,
        *,
        moto: WsgiApp,
        sagemaker: Mapping[str, Handler],
        iam: Mapping[str, QueryHandler],
        invoke: Mapping[str, Callable[[str, Environ, StartResponse], Iterable[bytes]]],
    ) -> None:
        self._moto = moto
        self._sagemaker = sagemaker
        self._iam = iam
        self._invoke = invoke

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        service = signed_service(environ)
        if service == "sagemaker":
            target = environ.get("HTTP_X_AMZ_TARGET", "")
            if target.startswith("SageMaker."):
                return self._control(target.removeprefix("SageMaker."), environ, start_response)
            invocation = _INVOCATIONS.match(environ["PATH_INFO"])
            if invocation:
                return self._runtime(invocation, environ, start_response)
        if service in ("iam", "cloudformation"):
            return self._query(environ, start_response)
        return self._moto(environ, start_response)

    def _control(self, operation: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        handler = self._sagemaker.get(operation)
        try:
            if handler is None:
                _refuse_unless_recorded(operation)
                return self._moto(environ, start_response)
            body = environ["wsgi.input"].read()
            params = json.loads(body or b"{}")
            validation.check_input(operation, params)
            return protocol.respond_json(start_response, handler(params))
        except NotOurs:
            environ["wsgi.input"] = io.BytesIO(body)
            return self._moto(environ, start_response)
        except json.JSONDecodeError:
            error = AwsError("SerializationException", "The request's body is not JSON.")
            return protocol.respond_error(start_response, error)
        except AwsError as error:
            return protocol.respond_error(start_response, error)

    def _runtime(self, invocation: re.Match[str], environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            invoke = self._invoke.get(invocation["kind"])
            if invoke is None:
                sentence = f"The local AWS does not support {invocation['kind']} of an endpoint."
                raise AwsError("ValidationError", sentence)
            return invoke(invocation["name"], environ, start_response)
        except AwsError as error:
            return protocol.respond_error(start_response, error, rest=True)

    def _query(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        environ["wsgi.input"] = io.BytesIO(body)
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        action = form.get("Action", "")
        handler = self._iam.get(action)
        try:
            if action in _WITH_TEMPLATE:
                # moto's CloudFormation imports every service it has, which takes seconds.
                from localcloud.aws.cloudformation.templates import check_template

                check_template(form)
            if handler is None:
                return self._moto(environ, start_response)
            return protocol.respond_query(start_response, action, handler(form))
        except AwsError as error:
            return protocol.respond_query_error(start_response, error)


def _refuse_unless_recorded(operation: str) -> None:
    if not validation.is_operation(operation):
        raise AwsError("UnknownOperationException", f"SageMaker has no operation {operation}.")
    if not _RECORDS.fullmatch(operation) or not _moto_has(operation):
        raise protocol.unsupported(f"the SageMaker operation {operation}")


def _moto_has(operation: str) -> bool:
    from moto.sagemaker.responses import SageMakerResponse

    return hasattr(SageMakerResponse, re.sub(r"(?<=.)([A-Z])", r"_\1", operation).lower())
