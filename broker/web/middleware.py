"""What happens to every request, outermost first: id and log line, problems, no half-done work."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import web

from broker.errors import BodyTooLarge, BrokerError, InvalidRequest, MethodNotAllowed, NotFound
from broker.lines import REQUESTS, tell_request
from broker.telemetry import Metrics

log = logging.getLogger(REQUESTS)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

H = TypeVar("H", bound=Callable[..., Any])

REQUEST_ID = web.RequestKey("request id", str)
FACTS = web.RequestKey("log fields", dict)


def abortable(handler: H) -> H:
    """Mark a handler that ends at once when its caller leaves."""
    handler.ends_with_caller = True  # type: ignore[attr-defined]
    return handler


def watch(metrics: Metrics) -> Any:
    """Give every request an id, and one log line and one measurement at its end."""
    children: dict[tuple[str, int], Any] = {}

    @web.middleware
    async def watched(request: web.Request, handler: Handler) -> web.StreamResponse:
        # Unlike every other's, which needs no secret: the kernel need not be asked.
        request[REQUEST_ID] = f"{random.getrandbits(128):032x}"
        facts: dict[str, Any] = {}
        request[FACTS] = facts
        started, status = time.perf_counter(), 499
        route = request.match_info.route.resource
        template = route.canonical if route else "unknown"
        try:
            response = await handler(request)
            status = response.status
        finally:
            seconds = time.perf_counter() - started
            family = status // 100
            measured = children.get((template, family))
            if measured is None:
                measured = metrics.requests.labels(template, f"{family}xx")
                children[template, family] = measured
            measured.observe(seconds)
            tell_request(
                {
                    "request_id": request[REQUEST_ID],
                    "method": request.method,
                    "route": template,
                    "status": status,
                    "ms": round(seconds * 1000, 2),
                    **facts,
                }
            )
        return response

    return watched


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn refusals into problem documents (RFC 9457), and surprises into a bare 500."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return problem(request, _as_refusal(error))
    except BrokerError as error:
        if request.writer is not None and request.writer.output_size:
            raise  # too late for a second response: aiohttp cuts the connection instead
        if error.status == 500:
            log.exception("internal", extra={"request_id": request[REQUEST_ID]})
        return problem(request, error)
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:
        if request.writer is not None and request.writer.output_size:
            raise
        log.exception("unexpected", extra={"request_id": request[REQUEST_ID]})
        return problem(request, BrokerError())
    if not response.prepared:
        response.headers.setdefault("X-Request-Id", request[REQUEST_ID])
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "no-referrer")
    return response


def finish_what_was_begun(forget: Callable[[], None]) -> Any:
    """A caller who leaves ends a proxied call at once, and nothing else: an exchanged code or a
    deleted connection must not stop half-way. What was written this process sees at once, by
    `forget`; the others hear the doorbell.
    """

    async def to_the_end(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        wrote = request.method != "GET" or request.path.endswith("/callback")
        aside = request.path == "/oauth/token" or request.path.endswith("/webhooks")
        if wrote and not aside and response.status < 400:
            forget()
        return response

    @web.middleware
    async def finishing(request: web.Request, handler: Handler) -> web.StreamResponse:
        if getattr(request.match_info.handler, "ends_with_caller", False):
            return await handler(request)
        work = asyncio.ensure_future(to_the_end(request, handler))
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(work)

    return finishing


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
        "X-Request-Id": request[REQUEST_ID],
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    if 400 <= error.status < 500 and error.status != 429:
        headers["x-should-retry"] = "false"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="broker", Basic realm="broker"'
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
