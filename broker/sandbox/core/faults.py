"""Levers: what can be made to go wrong, where, and how often."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from aiohttp import web


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong. `path` is a glob over the decoded path; `times` None means always.

    Kinds: hang, delay, reset, drip, garbage, html, status, redirect, gzip, set-cookie, headers,
    lose-answer (the work is done), late-answer (the same, but an answer comes after `seconds`),
    early-answer (before the body is read).
    """

    path: str
    kind: str
    method: str | None = None
    times: int | None = None
    status: int = 500
    after_bytes: int = 0
    seconds: float = 0.05
    location: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    chunked: bool = False
    hits: int = 0

    def meets(self, request: web.Request) -> bool:
        """Whether the fault strikes this request."""
        return (
            (self.times is None or self.hits < self.times)
            and (self.method is None or self.method == request.method)
            and fnmatchcase(request.path, self.path)
        )


class Faults:
    """The faults that are set, oldest first; the first that meets a request strikes."""

    def __init__(self) -> None:
        self.active: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        self.active.append(fault)
        return fault

    def clear(self) -> None:
        self.active.clear()

    def striking(self, request: web.Request) -> Fault | None:
        """The fault that strikes a request, counted."""
        for fault in self.active:
            if fault.meets(request):
                fault.hits += 1
                return fault
        return None


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def strike(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a request with the failure that the fault describes."""
    if fault.kind in _INSTEAD:
        answered: web.StreamResponse = await _INSTEAD[fault.kind](fault, request)
        return answered
    if fault.kind == "delay":
        await asyncio.sleep(fault.seconds)
        return await handler(request)
    response = await handler(request)
    if fault.kind == "late-answer":
        await asyncio.sleep(fault.seconds)
        return response
    if fault.kind == "lose-answer":
        return _cut(request, response)
    assert isinstance(response, web.Response)  # noqa: S101  # no handler here streams
    body = response.body if isinstance(response.body, bytes) else b""
    if fault.kind in {"headers", "set-cookie"}:
        response.headers.update(fault.headers or {"Set-Cookie": "__cf=1; Path=/"})
    elif fault.kind == "gzip":
        response.body = gzip.compress(body)
        response.headers["Content-Encoding"] = "gzip"
    elif fault.kind in {"reset", "drip"}:
        return await _partly(fault, request, response, body)
    return response


async def _hang(_fault: Fault, _request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def _garbage(_fault: Fault, request: web.Request) -> web.StreamResponse:
    assert request.transport is not None  # noqa: S101  # the request is being answered
    request.transport.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    request.transport.close()
    return web.Response()


async def _html(fault: Fault, _request: web.Request) -> web.StreamResponse:
    text = (
        fault.body
        or "<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
    )
    return web.Response(status=fault.status, text=text, content_type="text/html")


async def _status(fault: Fault, _request: web.Request) -> web.StreamResponse:
    kind = "application/json" if fault.body.startswith(("{", "[")) else "text/plain"
    return web.Response(
        status=fault.status, text=fault.body, content_type=kind, headers=fault.headers
    )


async def _redirect(fault: Fault, _request: web.Request) -> web.StreamResponse:
    status = fault.status if 300 <= fault.status < 400 else 302
    return web.Response(status=status, headers={"Location": fault.location})


KINDS = (
    "hang", "delay", "reset", "drip", "garbage", "html", "status", "redirect", "gzip",
    "set-cookie", "headers", "lose-answer", "late-answer", "early-answer",
)  # fmt: skip
_INSTEAD: dict[str, Callable[[Fault, web.Request], Awaitable[Any]]] = {
    "hang": _hang,
    "garbage": _garbage,
    "html": _html,
    "status": _status,
    "early-answer": _status,
    "redirect": _redirect,
}


async def _partly(
    fault: Fault, request: web.Request, whole: web.Response, body: bytes
) -> web.StreamResponse:
    response = web.StreamResponse(status=whole.status, headers=whole.headers)
    response.headers.pop("Content-Length", None)
    if not fault.chunked:
        response.headers["Content-Length"] = str(max(len(body), fault.after_bytes + 1))
    await response.prepare(request)
    if fault.kind == "reset":
        await response.write((body + b" " * fault.after_bytes)[: fault.after_bytes])
        await asyncio.sleep(0.02)
        return _cut(request, response)
    for index in range(len(body)):
        await response.write(body[index : index + 1])
        await asyncio.sleep(fault.seconds)
    return response


def _cut(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return response
