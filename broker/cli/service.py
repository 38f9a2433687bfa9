"""Commands that go on: serve, work, sandbox; and migrate, which others wait for."""

import asyncio
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
    READINESS_GRACE_S,
    background_work,
    metrics_server,
    serving,
    wait_for_shutdown_signal,
)
from broker.cli.runtime import (
    Runtime,
    echo,
    fail,
    open_components,
    prepare_runtime,
    read_settings,
    run,
)
from broker.settings import Address
from broker.stores.core import migrations
from broker.telemetry.log_setup import configure_logging


def serve(
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the port")] = 1,
    index: Annotated[int, typer.Option(hidden=True)] = -1,
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
    run(lambda: _serve(found, index), loop_factory=uvloop.new_event_loop)


async def _serve(found: Runtime, index: int) -> None:
    settings, shared = found.settings, index >= 0
    metrics = Address(settings.metrics_listen.host, settings.metrics_listen.port + max(0, index))
    async with (
        open_components(found) as broker,
        metrics_server(broker.metrics, metrics),
        serving(broker, settings.listen, reuse_port=shared) as health,
    ):
        host, port = settings.listen.host, settings.listen.port
        echo(f"broker: serving {settings.public_url} on {host}:{port}")
        # What is there now stays; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        await wait_for_shutdown_signal()
        health.stopping = True
        if not found.embedded:
            await asyncio.sleep(READINESS_GRACE_S)


def _share_port(workers: int) -> None:
    """Run several processes on one port until told to stop; one that dies is started again."""
    command = [sys.executable, "-m", "broker", "serve", "--index"]
    children = [subprocess.Popen([*command, str(i)]) for i in range(workers)]  # noqa: S603
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
                children[i] = subprocess.Popen([*command, str(i)])  # noqa: S603
    for child in children:
        child.wait()


def work() -> None:
    """Do the background work only: renewals, revocations, events, deliveries, retention."""
    found = prepare_runtime()
    configure_logging(found.settings.log_format, gather=True)

    async def command() -> None:
        async with (
            open_components(found) as broker,
            background_work(broker, periodic=True),
        ):
            echo("broker: working")
            await wait_for_shutdown_signal()

    run(command)


def migrate() -> None:
    """Bring the schema up to date; safe when several start it at once."""
    found = prepare_runtime()
    configure_logging(found.settings.log_format)

    async def command() -> None:
        applied = await migrations.bring_up_to_date(found.dsn)
        echo(f"broker: applied {', '.join(applied)}" if applied else "broker: nothing to apply")

    run(command)


def sandbox(
    port: Annotated[int | None, typer.Option(help="Port to listen on")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder that keeps data over restarts")] = None,
    seed: Annotated[bool, typer.Option("--seed", help="Fill empty accounts")] = False,
) -> None:
    """Run only the sandbox: a HubSpot and, on the next port, a First Mile Labs."""
    from broker.sandbox.fml.server import serve as serve_fml  # noqa: PLC0415  # not in production
    from broker.sandbox.hubspot.server import serve as serve_sandbox  # noqa: PLC0415  # not in production

    settings = read_settings()
    configure_logging(settings.log_format)

    async def command() -> None:
        host = settings.listen.host
        wanted = settings.listen.port if port is None else port
        try:
            running = await serve_sandbox(host, wanted, data=data, seed=seed)
            fml = await serve_fml(host, wanted + 1 if wanted else 0)
        except OSError as error:
            fail(f"the sandbox cannot start: {error.strerror}")
        except ValueError:
            fail(f"{data} holds data of another version; remove it or name another folder")
        echo(f"broker: sandbox HubSpot at {running.url}")
        echo(f"broker: sandbox First Mile Labs at {fml.url}")
        await wait_for_shutdown_signal()
        await fml.close()
        await running.close()

    run(command)
