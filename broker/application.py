"""The HTTP service: what answers, and what runs beside it."""

from typing import Any

from aiohttp import web

from broker.assembly import worker
from broker.parts import Broker
from broker.stores.doorbell import Doorbell
from broker.urls import routes
from broker.web import openapi
from broker.web.health import HealthPages
from broker.web.middleware import finishing
from broker.web.passing import add_nothing
from broker.worker import Chore, Worker, alongside


def application(broker: Broker, health: HealthPages) -> web.Application:
    """The HTTP service."""
    app = web.Application(client_max_size=0)  # bodies are read by parts that know their own bounds
    app[openapi.CALLERS] = broker.callers
    app.on_response_prepare.append(add_nothing)
    app.add_routes(
        web.RouteDef(each.method, each.path, finishing(each.handler, broker.forget), each.kwargs)
        for each in routes(broker, health)
    )
    app.cleanup_ctx.append(_alongside(broker))
    return app


def _alongside(broker: Broker) -> Any:
    """What runs beside the HTTP service in the same process."""
    chores = Worker(
        [
            Chore("uses", 5, broker.proxy.write_uses),
            Chore("quota shares", 5, broker.quota.keep),
            Chore("call log", 1, broker.call_log.write),
        ]
    )
    doorbell = Doorbell(broker.dsn, broker.forget, broker.quota.rung)
    running = [doorbell.listen, chores.run]
    if broker.settings.work_in_serve:
        running.append(worker(broker).run)
    last_words = [broker.proxy.write_uses, broker.quota.leave, broker.call_log.write]
    return alongside(running, last_words)
