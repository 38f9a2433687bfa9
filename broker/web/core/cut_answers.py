"""Ending connections so that half an answer cannot be taken for a whole one.

For an HTTP/1.0 peer, as nginx is by default, the end of the connection is the end of a body without
a length: closing it says "that was all". A reset says that it was not.
"""

import asyncio
import socket
import struct

from aiohttp import web

LINGER_NONE = struct.pack("ii", 1, 0)
"""SO_LINGER: discard what was not sent and reset the connection."""


def cut_off(request: web.BaseRequest) -> None:
    """End the connection of an answer that has begun and cannot be ended."""
    if request.transport is None:
        return
    if request.version >= (1, 1):
        request.transport.close()  # the framing says that more was to come
    else:
        reset(request.transport)


def reset(transport: asyncio.Transport) -> None:
    """End a connection with a reset; what was written and not sent is lost."""
    line = transport.get_extra_info("socket")
    if line is not None and not transport.is_closing():
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
    transport.abort()
