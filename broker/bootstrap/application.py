"""The aiohttp application: every route with its handler."""

from aiohttp import web

from broker.bootstrap.components import Components
from broker.bootstrap.routes import routes
from broker.web.api.health import HealthHandlers
from broker.web.core import openapi
from broker.web.core.middleware import COMPLETION_GRACE_S, ShieldedRequests
from broker.web.core.origins import TRUSTED_PROXIES
from broker.web.core.unproved import BODIES, UnprovedBodies
from broker.web.proxy.proxy_response import remove_default_headers


def application(
    broker: Components, health: HealthHandlers, *, completion_s: float = COMPLETION_GRACE_S
) -> web.Application:
    """The HTTP service. `completion_s`: how long requests that callers cannot cancel may go on once
    all connections are closed.
    """
    app = web.Application(client_max_size=0)  # each handler bounds its own body
    app[openapi.CALLERS] = broker.callers
    app[BODIES] = UnprovedBodies()
    app[TRUSTED_PROXIES] = broker.settings.trusted_proxies
    app.on_response_prepare.append(remove_default_headers)
    shielded = ShieldedRequests(completion_s)
    app.add_routes(
        web.RouteDef(each.method, each.path, shielded.wrap(each.handler), each.kwargs)
        for each in routes(broker, health)
    )
    app.on_cleanup.append(shielded.drain)
    return app
