"""The HTTP service: what answers, at which address."""

from aiohttp import web

from broker.bootstrap.components import Components
from broker.bootstrap.routes import routes
from broker.web.api.health import HealthHandlers
from broker.web.core import openapi
from broker.web.core.middleware import ShieldedRequests
from broker.web.core.unproved import BODIES, UnprovedBodies
from broker.web.proxy.proxy_response import remove_default_headers


def application(broker: Components, health: HealthHandlers) -> web.Application:
    """The HTTP service."""
    app = web.Application(client_max_size=0)  # bodies are read by parts that know their own bounds
    app[openapi.CALLERS] = broker.callers
    app[BODIES] = UnprovedBodies()
    app.on_response_prepare.append(remove_default_headers)
    shielded = ShieldedRequests()
    app.add_routes(
        web.RouteDef(each.method, each.path, shielded.wrap(each.handler), each.kwargs)
        for each in routes(broker, health)
    )
    app.on_cleanup.append(shielded.drain)
    return app
