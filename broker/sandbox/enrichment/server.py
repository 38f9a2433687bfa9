"""The five running enrichment vendors, each below a folder of one port."""

from aiohttp import web

from broker.sandbox.core.serving import Running, listen
from broker.sandbox.core.simulation import Handler, application
from broker.sandbox.enrichment.control import ControlEndpoints
from broker.sandbox.enrichment.people import SEED
from broker.sandbox.enrichment.vendors.apollo import ApolloEndpoints
from broker.sandbox.enrichment.vendors.clearbit import ClearbitEndpoints
from broker.sandbox.enrichment.vendors.fullcontact import FullContactEndpoints
from broker.sandbox.enrichment.vendors.hunter import HunterEndpoints
from broker.sandbox.enrichment.vendors.peopledatalabs import PeopleDataLabsEndpoints
from broker.sandbox.enrichment.world import Enrichment

NO_TOKENS = "/no-token-endpoint"


async def serve(
    host: str, port: int, world: Enrichment | None = None, *, seed: bool = False
) -> Running[Enrichment]:
    """Start; port 0 takes a free one. `seed` adds people where there are none. Raises OSError when
    the port is taken.
    """
    world = world or Enrichment()
    if seed and not world.people:
        for person in SEED:
            world.add(person)
    app = application(world, _answering, (), NO_TOKENS)
    for endpoints in (
        ControlEndpoints(world),
        HunterEndpoints(world),
        PeopleDataLabsEndpoints(world),
        ApolloEndpoints(world),
        FullContactEndpoints(world),
        ClearbitEndpoints(world),
    ):
        app.add_routes(endpoints.routes())
    runner, url = await listen(app, host, port)
    return Running(url, world, runner)


async def _answering(request: web.Request, handler: Handler) -> web.StreamResponse:
    return await handler(request)
