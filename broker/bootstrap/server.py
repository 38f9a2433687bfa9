"""The HTTP service on its sockets, with aiohttp's limits set on purpose."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from broker.bootstrap.application import application
from broker.bootstrap.components import Components
from broker.bootstrap.listening import BACKLOG, listening_sockets
from broker.bootstrap.tasks import listener, process_tasks, worker
from broker.bootstrap.worker import Worker, background_tasks
from broker.settings import Address
from broker.stores.core.readiness import Readiness
from broker.telemetry.metrics import Metrics
from broker.web.api.health import HealthHandlers
from broker.web.core.descriptors import DescriptorGuard, raise_descriptor_limit
from broker.web.core.http_server import MAX_HEADER_BYTES, MAX_URI_BYTES
from broker.web.core.middleware import COMPLETION_GRACE_S, RequestLog, observe_requests
from broker.web.core.runner import AppRunner
from broker.web.proxy.fast_path import FastPath

log = logging.getLogger(__name__)


@asynccontextmanager
async def serving(
    broker: Components,
    address: Address,
    *,
    reuse_port: bool = False,
    drain_s: float | None = None,
    completion_s: float = COMPLETION_GRACE_S,
) -> AsyncIterator[HealthHandlers]:
    """The broker answering on an address. Raises OSError when the port is taken.

    `drain_s`: how long requests under way may go on at the end, as the settings say by default;
    `completion_s`: how much longer those that callers cannot cancel.
    """
    health = HealthHandlers(Readiness(broker.database, broker.seals).check)
    requests = RequestLog(broker.metrics)
    runner = AppRunner(
        application(broker, health, completion_s=completion_s),
        partial(observe_requests, requests=requests),
        DescriptorGuard(raise_descriptor_limit(), broker.metrics.connections_shed),
        FastPath(broker.callers, broker.proxy, requests, broker.metrics.fast_path),
        access_log=None,
        handler_cancellation=True,  # a caller who leaves frees the call to HubSpot
        auto_decompress=False,
        max_line_size=MAX_URI_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        keepalive_timeout=75,
        shutdown_timeout=broker.settings.drain_s if drain_s is None else drain_s,
    )
    async with background_work(broker, periodic=broker.settings.work_in_serve) as working:
        await runner.setup()
        try:
            for listener in listening_sockets(address, reuse_port=reuse_port):
                await web.SockSite(runner, listener, backlog=BACKLOG).start()
            yield health
        finally:
            # Concurrently, so that requests and background tasks share one grace.
            await asyncio.gather(runner.cleanup(), working.stop())


@asynccontextmanager
async def background_work(broker: Components, *, periodic: bool) -> AsyncIterator[Worker]:
    """Run a process's background work while the block runs: the tasks of every process and, where
    `periodic`, those of the installation, by the worker that this yields.
    """
    working = worker(broker) if periodic else Worker([])
    async with (
        background_tasks([listener(broker, works=periodic).listen]),
        process_tasks(broker).running(),
        working.running(),
    ):
        yield working


@asynccontextmanager
async def metrics_server(metrics: Metrics, address: Address) -> AsyncIterator[None]:
    """`/metrics` on an address of its own, never on the public port; and `/healthz`, by which a
    process without a public port shows that it lives.
    """

    async def show(_request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def alive(_request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    app = web.Application()
    app.router.add_get("/metrics", show)
    app.router.add_get("/healthz", alive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        for listener in listening_sockets(address):
            await web.SockSite(runner, listener, backlog=BACKLOG).start()
    except OSError as error:
        # A second process on the same machine still serves callers.
        log.warning("metrics_not_served", extra={"port": address.port, "reason": error.strerror})
    try:
        yield
    finally:
        await runner.cleanup()


async def wait_for_shutdown_signal(parent: int | None = None) -> None:
    """Wait for SIGTERM or SIGINT; or for the end of a parent that holds the other end of a pipe,
    whose descriptor this is, and writes nothing to it.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    if parent is not None:
        loop.add_reader(parent, stop.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, stop.set)
    await stop.wait()
    if parent is not None:
        loop.remove_reader(parent)
