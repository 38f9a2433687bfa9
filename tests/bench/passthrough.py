"""The yardstick: a bare aiohttp pass-through, `web.Application` and `ClientSession`, nothing else."""

import sys

import aiohttp
import uvloop
from aiohttp import web

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length"}


def passing(base: str) -> web.Application:
    """An application that passes everything on to `base`."""
    app = web.Application()

    async def session(app):
        app["session"] = aiohttp.ClientSession(auto_decompress=False)
        yield
        await app["session"].close()

    async def pass_on(request: web.Request) -> web.StreamResponse:
        headers = [(n, v) for n, v in request.headers.items() if n.lower() not in HOP_BY_HOP]
        body = request.content if request.body_exists else None
        async with request.app["session"].request(
            request.method, base + request.raw_path, headers=headers, data=body
        ) as answer:
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in answer.headers.items():
                if name.lower() not in HOP_BY_HOP - {"content-length"}:
                    response.headers.add(name, value)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            return response

    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", pass_on)
    return app


if __name__ == "__main__":
    uvloop.install()
    web.run_app(
        passing(sys.argv[2]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=lambda *_: None,
    )
