"""The two forms of a proxied call: wrapped as StackGo's, and transparent.

The hot path starts here. Nothing on it parses HubSpot's answer, waits for the database when the
connection was used within seconds, or holds a body that it does not have to repeat.
"""

import logging
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from urllib.parse import unquote

import aiohttp
from aiohttp import web

from broker.domain.model import Caller, ProxyCall
from broker.errors import (
    AppNotFound,
    BodyTooLarge,
    BrokerError,
    Busy,
    ConnectionNotFound,
    InvalidRequest,
    MethodNotAllowed,
    wrong_field,
)
from broker.providers.calls.destination import check_target
from broker.services.access.callers import Callers, require
from broker.services.proxy.forwarding import Forwarding, Proxy
from broker.web.core.cookies import check_not_cross_site
from broker.web.core.cut_answers import cut_off
from broker.web.core.middleware import FAST_CALL, LOG_FIELDS, REQUEST_ID, cancel_on_disconnect
from broker.web.core.openapi import self_authenticating
from broker.web.core.requests import (
    BROKEN_FRAMING,
    CONTROL,
    path_provider,
    path_slug,
    read_body,
)
from broker.web.proxy.proxy_response import SingleWriteResponse, begin_stream, can_write_at_once
from broker.web.proxy.wrapped import DataEnvelope, RawCall, WrappedCallReader

log = logging.getLogger(__name__)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

SCOPES = ("proxy", "proxy:read")

REPEATABLE_BYTES = 262_144
"""Bodies up to here are kept, so that the call can be repeated with a renewed token."""

KEYED_BYTES = 4_194_304
"""The longest body of a write with an Idempotency-Key."""

IDEMPOTENCY_KEY = re.compile(r'"?([!#-~]{1,255})"?')

LONGEST_WAIT_S = 3600.0
WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)

TRANSPARENT = re.compile(r"/proxy/[^/?#]*/([^/?#]*)(/.*)")


class ProxyHandlers:
    """`/api/raw`, `/api/hubspot/proxy` and `/proxy`."""

    def __init__(
        self, callers: Callers, proxy: Proxy, key_headers: Sequence[str], max_body: int
    ) -> None:
        self._callers = callers
        self._proxy = proxy
        self._key_headers = key_headers
        self._max_body = max_body
        self._wrapped_calls = WrappedCallReader(max_body)

    @self_authenticating(enforces=SCOPES, tags=("Proxy",))
    @cancel_on_disconnect
    async def transparent(self, request: web.Request) -> web.StreamResponse:
        """Call HubSpot as a user: method, path, query, headers and body go as they are.

        HubSpot's status, end-to-end headers and body come back as they are. A refusal of the
        broker's own carries `Broker-Error`.
        """
        if FAST_CALL in request:
            return await self._respond(request, request[FAST_CALL].forwarding, None)
        caller = await self._caller(request)
        if request.method not in METHODS:
            raise MethodNotAllowed(allowed=list(METHODS))
        # The raw target, for a parsed one has lost what it looked like.
        raw = TRANSPARENT.fullmatch(request.raw_path)
        if raw is None:
            raise InvalidRequest("Expected /proxy/{app}/{user}/{API path}.")
        key = idempotency_key_in(request.headers.getall("Idempotency-Key", ()))
        call = ProxyCall(
            path_slug(request, caller),
            _user(raw[1]),
            request.method,
            check_target(raw[2]),
            list(request.headers.items()),
            await self._body(request, caller, key),
            quota_wait_of(request),
            request[REQUEST_ID],
            key,
        )
        return await self._respond(request, self._proxy.forward(caller, call), None)

    @self_authenticating(enforces=SCOPES, body=RawCall, tags=("Proxy",))
    @cancel_on_disconnect
    async def wrapped(self, request: web.Request) -> web.StreamResponse:
        """Call HubSpot as a user, StackGo's way: described in a body, answered as `{"data": ...}`.

        JSON or a form. The answer has HubSpot's status; JSON stands in it as it came, anything else
        as a string.
        """
        caller = await self._caller(request)
        slug = path_slug(request, caller)
        require(caller, *SCOPES)
        call = await self._wrapped_calls.read(request, slug)
        inside = [value for name, value in call.headers if name.lower() == "idempotency-key"]
        key = idempotency_key_in([*request.headers.getall("Idempotency-Key", ()), *inside])
        call = replace(
            call,
            quota_wait=quota_wait_of(request),
            request_id=request[REQUEST_ID],
            idempotency_key=key,
            provider=path_provider(request),
        )
        return await self._respond(request, self._proxy.forward(caller, call), DataEnvelope())

    async def _caller(self, request: web.Request) -> Caller:
        check_not_cross_site(request.headers)
        headers = request.headers
        credentials = headers.get("Authorization")
        if credentials is None:
            # Where vendors' own clients put their token, callers put their key.
            found = (headers[name] for name in self._key_headers if name in headers)
            credentials = next((f"Bearer {key}" for key in found), None)
        try:
            caller = await self._callers.authenticate(credentials)
        except Busy:
            with suppress(AppNotFound):
                path_slug(request)  # all that the log line can say of who is refused
            raise
        request[LOG_FIELDS]["key"] = str(caller.key_id)
        return caller

    async def _body(
        self, request: web.Request, caller: Caller, key: str | None
    ) -> bytes | AsyncIterator[bytes] | None:
        if not request.body_exists or not any(map(caller.has_scope, SCOPES)):
            return None  # of a caller who may not call at all, nothing is read
        if key is not None and request.method not in {"GET", "HEAD"}:
            # The key's request must be complete before anything is sent.
            return await read_body(request, min(self._max_body, KEYED_BYTES))
        length = request.content_length
        if length is not None and length > self._max_body:
            raise BodyTooLarge(f"At most {self._max_body} bytes are accepted.")
        if length is not None and length <= REPEATABLE_BYTES:
            return await read_body(request, REPEATABLE_BYTES) if length else b""
        codings = request.headers.getall("Transfer-Encoding", ())
        if length is None and [coding.strip().lower() for coding in codings] != ["chunked"]:
            # It would be taken off with the header that names it, and the body mean something else.
            raise InvalidRequest("Only chunked transfer encoding is supported.")
        return self._stream(request)

    async def _stream(self, request: web.Request) -> AsyncIterator[bytes]:
        size = 0
        try:
            async for part in request.content.iter_any():
                size += len(part)
                if size > self._max_body:
                    raise BodyTooLarge(f"At most {self._max_body} bytes are accepted.")
                yield part
        except web.RequestPayloadError:
            raise InvalidRequest(BROKEN_FRAMING) from None

    async def _respond(
        self, request: web.Request, forwarding: Forwarding, wrapping: DataEnvelope | None
    ) -> web.StreamResponse:
        response: web.StreamResponse | None = None
        try:
            async with forwarding as answer:
                if wrapping is None and can_write_at_once(request, answer):
                    at_once = SingleWriteResponse(request, answer)
                    # What is left to do is done while the caller reads.
                    await at_once.prepare(request)
                    return at_once
                headers = answer.headers if wrapping is None else wrapping.headers(answer)
                response = begin_stream(request, answer, headers)
                chunks = answer.chunks if wrapping is None else wrapping.chunks(answer)
                await response.prepare(request)
                async for chunk in chunks:
                    await response.write(chunk)
        except BrokerError:
            # The call log, which has the user of every other call, may lack a refused one.
            request[LOG_FIELDS]["user"] = forwarding.trace.user_ref
            if response is not None:
                cut_off(request)
            raise
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if response is None:
                raise
            log.warning(
                "response_truncated",
                extra={"request_id": request[REQUEST_ID], "reason": type(error).__name__},
            )
            cut_off(request)
        except BaseException:
            if response is not None:
                cut_off(request)
            raise
        return response


def quota_wait_of(request: web.Request) -> float | None:
    """The seconds of `Prefer: wait=N` (RFC 7240), at most an hour; None when there is no such wish,
    and for one that is not understood, which the RFC says to ignore.
    """
    for header in request.headers.getall("Prefer", ()):
        found = WAIT.search(header)
        if found is not None:
            return min(float(found[1]), LONGEST_WAIT_S)
    return None


def idempotency_key_in(headers: Iterable[str]) -> str | None:
    """The key of an `Idempotency-Key` header, quoted or bare: 1 to 255 visible ASCII characters
    but the quote. Raises InvalidRequest for anything else, and for two unlike keys.
    """
    keys = set()
    for header in headers:
        found = IDEMPOTENCY_KEY.fullmatch(header.strip())
        if found is None or header.strip().startswith('"') != header.strip().endswith('"'):
            raise wrong_field("Idempotency-Key", "is not 1 to 255 visible ASCII characters")
        keys.add(found[1])
    if len(keys) > 1:
        raise wrong_field("Idempotency-Key", "is duplicated")
    return keys.pop() if keys else None


def _user(raw: str) -> str:
    try:
        user_ref = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise ConnectionNotFound from None
    if not 1 <= len(user_ref) <= 255 or CONTROL.search(user_ref):
        raise ConnectionNotFound
    return user_ref
