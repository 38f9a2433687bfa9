"""The HTTP service: what answers, at which address."""

from aiohttp import web

from broker.bootstrap.components import Broker
from broker.bootstrap.routes import routes
from broker.web.api.health import HealthPages
from broker.web.core import openapi
from broker.web.core.middleware import Begun
from broker.web.proxy.proxy_response import add_nothing


def application(broker: Broker, health: HealthPages) -> web.Application:
    """The HTTP service."""
    app = web.Application(client_max_size=0)  # bodies are read by parts that know their own bounds
    app[openapi.CALLERS] = broker.callers
    app.on_response_prepare.append(add_nothing)
    begun = Begun(broker.forget)
    app.add_routes(
        web.RouteDef(each.method, each.path, begun.to_its_end(each.handler), each.kwargs)
        for each in routes(broker, health)
    )
    app.on_cleanup.append(begun.ended)
    return app
