"""What happens to every request: id and log line, problems, no half-done work."""

import asyncio
import functools
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web

from broker.concurrency.task_set import TaskSet
from broker.domain.tenancy import WORKSPACE
from broker.errors import BodyTooLarge, BrokerError, InvalidRequest, MethodNotAllowed, NotFound
from broker.telemetry.durations import Durations
from broker.telemetry.log_writer import REQUEST_LOGGER, log_request
from broker.telemetry.metrics import Metrics
from broker.web.core.cut_answers import cut_off

log = logging.getLogger(REQUEST_LOGGER)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SERVER = "broker"
"""Instead of what aiohttp says, which names versions."""

VERSIONS = (HttpVersion11, HttpVersion10)

COMPLETION_GRACE_S = 10.0
"""How long requests may go on after all connections were closed."""

H = TypeVar("H", bound=Callable[..., Any])

FAST_CALL: web.RequestKey[Any] = web.RequestKey("call that the fast path began", object)
REQUEST_ID = web.RequestKey("request id", str)
LOG_FIELDS = web.RequestKey("log fields", dict)


def cancel_on_disconnect(handler: H) -> H:
    """Mark a handler that is cancelled when its caller disconnects."""
    handler.cancelled_on_disconnect = True  # type: ignore[attr-defined]
    return handler


class RequestLog:
    """The one log line and one measurement that every request leaves at its end."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._durations: dict[tuple[str, int], Durations] = {}

    def record(self, fields: dict[str, Any], route: str, status: int, seconds: float) -> None:
        """`route` is the path as the URL table has it."""
        family = status // 100
        durations = self._durations.get((route, family))
        if durations is None:
            durations = self._metrics.requests.labels(route, f"{family}xx")
            self._durations[route, family] = durations
        durations.observe(seconds)
        log_request({**fields, "route": route, "status": status, "ms": round(seconds * 1000, 2)})

    def count_refusal(self, code: str) -> None:
        """A request that the broker itself refused."""
        self._metrics.refusals.labels(code).inc()


def new_request_id() -> str:
    """An id for a request: not a secret, so that the kernel's random numbers are not needed."""
    return f"{random.getrandbits(128):032x}"


def observe_requests(handler: Handler, requests: RequestLog) -> Handler:
    """A handler of all requests that gives each an id, and one log line and one measurement at its
    end, and answers refusals with problem documents (RFC 9457), unexpected errors with a bare 500.

    One function around the whole application, because each of aiohttp's middlewares costs every
    call another step.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        fast_call = take_fast_call(request)
        if fast_call is None:
            started, request_id = time.perf_counter(), new_request_id()
            fields: dict[str, Any] = {"request_id": request_id, "method": request.method}
        else:
            started, request_id, fields = fast_call.started, fast_call.request_id, fast_call.fields
        request[REQUEST_ID], request[LOG_FIELDS] = request_id, fields
        WORKSPACE.set(None)  # one task serves all requests of a connection
        status = 499
        try:
            try:
                if request.version not in VERSIONS or hdrs.EXPECT in request.headers:
                    _check_head(request)
                response = await handler(request)
            except Exception as error:  # noqa: BLE001  # or raised again
                response = _refused(request, error)
                requests.count_refusal(fields["error"])
            else:
                if not response.prepared:
                    response.headers.setdefault("X-Request-Id", request_id)
                    response.headers.setdefault("Cache-Control", "no-store")
                    response.headers.setdefault("X-Content-Type-Options", "nosniff")
                    response.headers.setdefault("Referrer-Policy", "no-referrer")
                    response.headers.setdefault("Server", SERVER)
            status = response.status
        finally:
            seconds = time.perf_counter() - started
            requests.record(fields, _template(request), status, seconds)
        return response

    return handle


def take_fast_call(request: web.Request) -> Any:
    """The call that the fast path began for a request and could not complete, if it did."""
    fast_call = getattr(request.protocol, "handed_over", None)
    if fast_call is not None:
        request.protocol.handed_over = None  # type: ignore[attr-defined]
        request[FAST_CALL] = fast_call
    return fast_call


def _check_head(request: web.Request) -> None:
    """Raise InvalidRequest for another version than HTTP/1, which a proxy in front may read
    differently, and for an expectation that is not supported, which aiohttp would repeat.
    """
    if request.version not in VERSIONS:
        raise InvalidRequest("Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        raise InvalidRequest("Only the expectation 100-continue is supported.")


def _template(request: web.Request) -> str:
    """The path as the URL table has it."""
    try:
        resource = request.match_info.route.resource
    except AssertionError:
        return "unknown"  # it was refused before routing
    return resource.canonical if resource else "unknown"


def _refused(request: web.Request, error: Exception) -> web.StreamResponse:
    """The response to a refusal or an unexpected error. Raises it where it comes too late."""
    if isinstance(error, ConnectionError) or (
        isinstance(error, web.HTTPException) and error.status < 400
    ):
        raise error
    if isinstance(error, web.HTTPException):
        error = _as_refusal(error)
    request[LOG_FIELDS]["error"] = (
        error.code if isinstance(error, BrokerError) else BrokerError.code
    )
    if request.writer is not None and request.writer.output_size:
        cut_off(request)
        raise error  # too late for a second response
    if not isinstance(error, BrokerError):
        log.error("unexpected_error", exc_info=error, extra={"request_id": request[REQUEST_ID]})
        error = BrokerError()
    elif error.status == 500:
        log.error("internal_error", exc_info=error, extra={"request_id": request[REQUEST_ID]})
    return problem(request, error)


class ShieldedRequests:
    """Requests that run to completion after a disconnect: an exchanged code or a deleted connection
    must not be left half-way. Only a proxied call is cancelled at once.
    """

    def __init__(self, grace_s: float = COMPLETION_GRACE_S) -> None:
        """`grace_s`: how long they may go on after all connections were closed."""
        self._grace_s = grace_s
        self._tasks: TaskSet[None] = TaskSet()

    def wrap(self, handler: Handler) -> Handler:
        """The handler, as it is to be called."""
        if getattr(handler, "cancelled_on_disconnect", False):
            return handler

        @functools.wraps(handler)
        async def shielded(request: web.Request) -> web.StreamResponse:
            async def run() -> web.StreamResponse:
                return await handler(request)

            return await asyncio.shield(self._tasks.spawn(run(), None))

        return shielded

    async def drain(self, _app: web.Application) -> None:
        """Let those that go on though their connections are closed end within the grace."""
        await self._tasks.stop(self._grace_s)


def problem(request: web.Request, error: BrokerError) -> web.Response:
    """The refusal as a problem document, marked as the broker's own."""
    document = {
        "type": f"/docs/errors#{error.code}",
        "title": error.title() if error.status != 500 else BrokerError.title(),
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        "requestId": request[REQUEST_ID],
        **error.context,
    }
    headers = {
        "Broker-Error": error.code,
        "Broker-Request-Id": request[REQUEST_ID],
        "X-Request-Id": request[REQUEST_ID],
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Server": SERVER,
    }
    if 400 <= error.status < 500 and error.status != 429:
        headers["x-should-retry"] = "false"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="broker"'
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.context.get("allowed", []))
    return web.json_response(
        {name: value for name, value in document.items() if value is not None},
        status=error.status,
        content_type="application/problem+json",
        headers=headers,
    )


def _as_refusal(error: web.HTTPException) -> BrokerError:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return MethodNotAllowed(allowed=sorted(error.allowed_methods))
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return BodyTooLarge()
    return NotFound() if error.status == 404 else InvalidRequest(error.reason)
