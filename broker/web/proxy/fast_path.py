"""The fast path of a transparent call: the plainest of calls, answered without waiting for anything
but the provider.

It judges a call by the functions that the handlers use, and refuses, waits for and repeats nothing:
a call that is refused, or has to wait for a permit, a renewal or the database, goes to the handler
from its beginning, and one whose answer is not complete at once, or has to be dealt with, goes to
the handler as it is.
"""

import re
import time
from typing import Any
from uuid import UUID

from broker.domain.model import ProxyCall
from broker.domain.tenancy import WORKSPACE
from broker.providers.calls.destination import check_target
from broker.providers.transport.headers import decoded
from broker.services.access.callers import Callers
from broker.services.proxy.forwarding import Forwarding, Proxy
from broker.telemetry.fast_path_calls import FastPathCalls
from broker.web.core.fast_connection import FastConnection
from broker.web.core.middleware import RequestLog, new_request_id
from broker.web.core.plain_requests import PlainRequest
from broker.web.proxy.handlers import REPEATABLE_BYTES
from broker.web.proxy.proxy_response import BODILESS, encode_complete

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})

HEEDED = frozenset({b"prefer", b"idempotency-key", b"sec-fetch-site"})
"""Headers with a meaning that the handlers know of."""

ROUTE = "/proxy/{slug}/{user}/{target}"

PATH = re.compile(
    r"/proxy/([A-Za-z0-9][A-Za-z0-9_-]{0,62})/([A-Za-z0-9][A-Za-z0-9._~-]{0,254})(/[^#]*)"
)
"""Paths in which nothing before the target is encoded."""


class FastPath:
    """Begins transparent calls."""

    def __init__(
        self, callers: Callers, proxy: Proxy, requests: RequestLog, counts: FastPathCalls
    ) -> None:
        self.counts = counts
        self._callers = callers
        self._proxy = proxy
        self._requests = requests

    def begin(self, request: PlainRequest, connection: FastConnection) -> "FastCall | None":
        """Send a call on; None where something has to be heeded or waited for."""
        path, fields, body = PATH.fullmatch(request.path), request.headers.by_name, request.body
        if (
            path is None
            or request.method not in METHODS
            or not HEEDED.isdisjoint(fields)
            or (body is not None and len(body) > REPEATABLE_BYTES)
        ):
            return None
        caller = self._callers.recognised(decoded(fields.get(b"authorization", b"")))
        slug = path[1].lower()
        if caller is None or not caller.can_access_app(slug):
            return None
        started, request_id = time.perf_counter(), new_request_id()
        try:
            call = ProxyCall(
                slug,
                path[2],
                request.method,
                check_target(path[3]),
                request.headers,
                body,
                request_id=request_id,
            )
            forwarding = self._proxy.begin(caller, call)
        except Exception:  # noqa: BLE001  # the handler refuses it, or meets the error again
            return None
        if forwarding is None:
            return None
        self.counts.started += 1
        log_fields = {
            "request_id": request_id,
            "method": request.method,
            "key": caller.key_id,
            "app": slug,
        }
        return FastCall(
            self,
            connection,
            forwarding,
            caller.workspace_id,
            started,
            log_fields,
            keep_alive=request.headers.keep_alive,
        )

    def record(self, call: "FastCall", status: int) -> None:
        """Leave the log line and the measurement of a call."""
        self._requests.record(call.fields, ROUTE, status, time.perf_counter() - call.started)


class FastCall:
    """A call on its way."""

    __slots__ = (
        "_connection",
        "_fast_path",
        "_keep_alive",
        "_status",
        "_workspace_id",
        "fields",
        "forwarding",
        "request_id",
        "started",
    )

    def __init__(
        self,
        fast_path: FastPath,
        connection: FastConnection,
        forwarding: Forwarding,
        workspace_id: UUID,
        started: float,
        fields: dict[str, Any],
        *,
        keep_alive: bool,
    ) -> None:
        self.started = started
        self.fields = fields
        self.request_id: str = fields["request_id"]
        self.forwarding = forwarding
        self._fast_path = fast_path
        self._connection = connection
        self._workspace_id = workspace_id
        self._keep_alive = keep_alive
        self._status = 0
        forwarding.when_answered(self._answered)

    def _answered(self, status: int) -> None:
        # The provider's connection runs this, in the context of whoever opened it.
        WORKSPACE.set(self._workspace_id)
        try:
            answer = None if status in BODILESS else self.forwarding.complete()
        except Exception:  # noqa: BLE001  # the handler meets it again, and answers
            answer = None
        if answer is None:
            self._connection.hand_over()
            return
        self._status = answer.status
        body = answer.chunks.read_buffered()
        response = encode_complete(answer, body, self.request_id, keep_alive=self._keep_alive)
        self._connection.respond(response)

    def end(self, *, sent: bool) -> None:
        """Log it: the response was sent, or its caller has left before."""
        if sent:
            self.forwarding.end(None)
            self._fast_path.counts.completed += 1
        else:
            self.forwarding.abandon()
            self._fast_path.counts.abandoned += 1
        self._fast_path.record(self, self._status or 499)
