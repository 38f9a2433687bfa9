"""Real processes of one installation."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

SEALING_KEY = "k1:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="


@pytest.fixture
async def start_process(dsn, hubspot, unused_tcp_port_factory, tmp_path):
    """Start processes of the broker, `serve` or another command; what is left ends with the test."""
    processes = []
    # A file and no pipe: nobody reads along, and a full pipe would hold up whoever writes or waits.
    log = (tmp_path / "processes.log").open("wb")

    async def start(command="serve", stderr=log, **changes):
        port = unused_tcp_port_factory()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BROKER_")},
            "BROKER_DATABASE_URL": dsn,
            "BROKER_SEALING_KEYS": SEALING_KEY,
            "BROKER_LISTEN": f"127.0.0.1:{port}",
            "BROKER_METRICS_LISTEN": f"127.0.0.1:{unused_tcp_port_factory()}",
            "BROKER_PUBLIC_URL": f"http://localhost:{port}",
            "BROKER_HUBSPOT_API_URL": hubspot.url,
            "BROKER_HUBSPOT_APP_URL": hubspot.url,
            **changes,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "broker",
            command,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
        processes.append(process)
        assert await asyncio.wait_for(process.stdout.readline(), 20), "it does not start"
        return process, f"http://127.0.0.1:{port}"

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    log.close()


@pytest.fixture
def figures(request):
    """Write what a test measured into the file that FAULT_FIGURES names, a line of JSON each."""

    def write(found):
        if path := os.environ.get("FAULT_FIGURES"):
            with Path(path).open("a") as file:
                file.write(json.dumps({"test": request.node.name, **found}) + "\n")

    return write
