"""Commands that go on: serve, work, sandbox; and migrate, which others wait for."""

import asyncio
import contextlib
import gc
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from broker.bootstrap.server import (
    background_work,
    metrics_server,
    serving,
    wait_for_shutdown_signal,
)
from broker.cli.runtime import (
    Runtime,
    echo,
    emit,
    fail,
    open_components,
    prepare_runtime,
    read_settings,
    run,
)
from broker.cli.systemd import READY, STOPPING, notify
from broker.settings import Address
from broker.stores.core import distribution, migrations
from broker.stores.core.postgres.failures import explained
from broker.telemetry.log_setup import configure_logging

log = logging.getLogger(__name__)


def serve(
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the port")] = 1,
    index: Annotated[int, typer.Option(hidden=True)] = -1,
    restarts: Annotated[int, typer.Option(hidden=True)] = 0,
) -> None:
    """Serve HTTP, and do the background work too unless BROKER_WORK_IN_SERVE=false."""
    found = prepare_runtime()
    configure_logging(found.settings.log_format, gather=True)
    # No line tells its place in the code, thread or process, and finding them out costs time.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001  # as the logging how-to's chapter on optimization says
    if workers > 1:
        _share_port(workers)
        return
    run(lambda: _serve(found, index, restarts), loop_factory=uvloop.new_event_loop)


async def _serve(found: Runtime, index: int, restarts: int) -> None:
    settings, shared = found.settings, index >= 0
    metrics = Address(settings.metrics_listen.host, settings.metrics_listen.port + max(0, index))
    async with (
        open_components(found) as broker,
        metrics_server(broker.metrics, metrics),
        serving(broker, settings.listen, reuse_port=shared) as health,
    ):
        broker.metrics.process_restarts.inc(restarts)
        host, port = settings.listen.host, settings.listen.port
        echo(f"broker: serving {settings.public_url} on {host}:{port}")
        # What is there now stays; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        notify(READY)
        await wait_for_shutdown_signal(sys.stdin.fileno() if shared else None)
        notify(STOPPING)
        health.stopping = True
        if not found.embedded:
            await asyncio.sleep(settings.readiness_grace_s)


def _share_port(workers: int) -> None:
    """Run several processes on one port until told to stop; one that dies is started again."""
    command = [sys.executable, "-m", "broker", "serve"]
    restarts = [0] * workers

    def start(i: int) -> subprocess.Popen[bytes]:
        options = ["--index", str(i), "--restarts", str(restarts[i])]
        # Nothing is written to the pipe: its end tells the child that this process is gone.
        return subprocess.Popen([*command, *options], stdin=subprocess.PIPE)  # noqa: S603

    children = [start(i) for i in range(workers)]
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        for child in children:
            child.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while not stopping:
        time.sleep(0.5)
        for i, child in enumerate(children):
            if child.poll() is not None and not stopping:
                if child.returncode == 1:
                    stop()
                    fail("a worker cannot start")
                died = {"pid": child.pid, "returncode": child.returncode}
                log.error("serving_process_died", extra=died)
                restarts[i] += 1
                children[i] = start(i)
    for child in children:
        child.wait()


def work() -> None:
    """Do the background work only: renewals, revocations, events, deliveries, retention."""
    found = prepare_runtime()
    configure_logging(found.settings.log_format, gather=True)

    async def command() -> None:
        async with (
            open_components(found) as broker,
            metrics_server(broker.metrics, found.settings.metrics_listen),
            background_work(broker, periodic=True),
        ):
            echo("broker: working")
            notify(READY)
            await wait_for_shutdown_signal()
            notify(STOPPING)

    run(command)


def migrate(
    distribute: Annotated[
        bool, typer.Option(help="Distribute the tables of a Citus cluster by workspace")
    ] = False,
) -> None:
    """Bring the schema up to date; safe when several start it at once."""
    found = prepare_runtime()
    configure_logging(found.settings.log_format)

    async def command() -> None:
        with explained(found.settings.direct_url_name):
            applied = await migrations.upgrade(found.direct_dsn)
            spread = await distribution.distribute(found.direct_dsn, begin=distribute)
        if spread:
            echo(f"broker: distributed {', '.join(spread)}")
        echo(f"broker: applied {', '.join(applied)}" if applied else "broker: nothing to apply")

    run(command)


def sandbox(
    port: Annotated[int | None, typer.Option(help="HubSpot's port; the others follow")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder in which HubSpot keeps its data")
    ] = None,
    seed: Annotated[bool, typer.Option(help="Fill empty accounts with believable data")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Run the sandboxes of every vendor, each on a port of its own, without a broker."""
    from broker.sandbox.suite.suite import Suite, running  # noqa: PLC0415  # not in production

    settings = read_settings()
    configure_logging(settings.log_format)

    def lines(suite: Suite) -> str:
        found = [f"broker: sandbox {each.name} at {each.url}" for each in suite.entries]
        found += [f"broker: no sandbox {name}: {why}" for name, why in suite.missing.items()]
        found += ["", "Settings of a broker that uses them:"]
        found += [f"export {name}={value}" for name, value in suite.settings.items()]
        found += ["", f"Registered apps, for redirect URLs below {settings.public_url}/:"]
        width = max(len(each.name) for each in suite.entries)
        for each in suite.entries:
            app = {
                name: value if isinstance(value, str) else f'"{" ".join(value)}"'
                for name, value in each.app.items()
                if isinstance(value, str | list)
            }
            found.append(f"{each.name:{width}}  " + " ".join(f"{n}={v}" for n, v in app.items()))
        return "\n".join(found)

    async def command() -> None:
        host = settings.listen.host
        first = settings.listen.port if port is None else port
        redirects = [f"{settings.public_url}/*"]
        async with contextlib.AsyncExitStack() as stack:
            try:
                suite = await stack.enter_async_context(
                    running(host, first, redirects, data=data, seed=seed)
                )
            except OSError as error:
                fail(f"the sandboxes cannot start: {error.strerror}")
            except ValueError:
                fail(f"{data} holds data of another version; remove it or name another folder")
            emit(suite.to_json(), as_json=as_json, text=lines(suite))
            await wait_for_shutdown_signal()

    run(command)
