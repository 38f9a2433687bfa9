"""What is no request at all is refused in the broker's own words, for aiohttp's repeat the line
that is wrong, with the key or the code that may stand in it.
"""

import logging
import random

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from broker.errors import InvalidRequest
from broker.web.middleware import REQUEST_ID, problem

log = logging.getLogger(__name__)


class Refusing(RequestHandler):
    """One connection of a caller's."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Let whoever waits for a body know at once that it cannot be read to its end."""
        super().data_received(data)
        request = self._current_request
        if request is None or not self._messages or request.content.is_eof():
            return
        if isinstance(self._messages[-1][0], _ErrInfo):
            self._messages.pop()
            request.content.set_exception(web.RequestPayloadError("broken framing"))
            request.content.feed_eof()
            self.close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A problem document for what aiohttp's parser refuses."""
        if status != 400 or not isinstance(request, web.Request) or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        request[REQUEST_ID] = f"{random.getrandbits(128):032x}"
        long = isinstance(exc, LineTooLong)
        log.info(
            "not HTTP",
            extra={"request_id": request[REQUEST_ID], "reason": type(exc).__name__},
        )
        detail = "The request's line or a header is too long." if long else "This is not HTTP."
        response = problem(request, InvalidRequest(detail))
        response.force_close()
        return response


class RefusingServer(web.Server):
    """Gives every connection such a protocol."""

    def __call__(self) -> RequestHandler:
        return Refusing(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application behind it."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = RefusingServer  # aiohttp has no other way to name the protocol
        return server
