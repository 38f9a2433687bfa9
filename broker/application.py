"""The HTTP service: what answers, at which address."""

from aiohttp import web

from broker.parts import Broker
from broker.urls import routes
from broker.web import openapi
from broker.web.health import HealthPages
from broker.web.middleware import Begun
from broker.web.passing import add_nothing


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
