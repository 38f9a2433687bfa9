"""The real `broker serve` of any revision, with a Postgres of its own and one connected user.

Only what holds for every revision is used: the commands `migrate`, `workspace create` and `serve`,
settings in the environment, and the HTTP API.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import asyncpg

from tests.bench.load import Subject
from tests.bench.machine import descendants
from tests.bench.processes import free_port, running, started_on
from tests.bench.revisions import Revision
from tests.bench.workloads import Target

SEALING_KEY = "k1:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="
DATABASE = "bench"


@dataclass(frozen=True)
class Postgres:
    """A server with a database for the broker, and one to look on from; what it logs."""

    dsn: str
    log: Path

    @property
    def broker_dsn(self) -> str:
        """How the broker reaches its database."""
        return self.dsn.replace("/postgres?", f"/{DATABASE}?")

    async def execute(self, *statements: str) -> None:
        """Run statements as the owner of the server."""
        session = await asyncpg.connect(self.dsn)
        try:
            for statement in statements:
                await session.execute(statement)
        finally:
            await session.close()


@contextmanager
def postgres(cores: Sequence[int]) -> Iterator[Postgres]:
    """The embedded Postgres, in a folder that goes with the block."""
    from broker.embedded import server as embedded

    folder = Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
    folder.chmod(0o755)
    data = folder / "data"
    try:
        with started_on(cores):
            dsn = embedded.start(data)
        server = Postgres(dsn, data / "postgres.log")
        asyncio.run(server.execute(f"CREATE DATABASE {DATABASE}"))
        yield server
    finally:
        embedded.stop(data)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class RunningBroker:
    """A broker that serves: where, with which key, in which processes."""

    url: str
    key: str
    pids: tuple[int, ...]

    def subject(self, name: str, processes: int = 1) -> Subject:
        """Calls as the user u1 of the app `bench`."""
        target = Target(self.url, "/proxy/bench/u1", self.key, "/api/hubspot/proxy/bench")
        return Subject(name, target, self.pids, processes)


@contextmanager
def broker(
    revision: Revision,
    server: Postgres,
    hubspot: str,
    *,
    cores: Sequence[int],
    workers: int = 1,
    **changes: str,
) -> Iterator[RunningBroker]:
    """A revision's broker, serving; `changes` are further settings and environment."""
    revision.check_is_imported()
    port, metrics = free_port(), free_port(workers)
    environment = {
        **revision.environment,
        "BROKER_DATABASE_URL": server.broker_dsn,
        "BROKER_SEALING_KEYS": SEALING_KEY,
        "BROKER_LISTEN": f"127.0.0.1:{port}",
        "BROKER_METRICS_LISTEN": f"127.0.0.1:{metrics}",
        "BROKER_PUBLIC_URL": f"http://localhost:{port}",
        "BROKER_HUBSPOT_API_URL": hubspot,
        "BROKER_HUBSPOT_APP_URL": hubspot,
        "BROKER_LOG_FORMAT": "json",
        **changes,
    }
    command = [sys.executable, "-m", "broker"]

    def finished(*arguments: str) -> str:
        done = subprocess.run(
            [*command, *arguments],
            check=False,
            cwd=revision.root,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            problem = "\n".join(done.stderr.strip().splitlines()[-5:])
            sys.exit(f"bench: {revision.name}: {' '.join(arguments)} failed\n{problem}")
        return done.stdout

    finished("migrate")
    key = json.loads(finished("workspace", "create", "bench", "--json"))["clientSecret"]
    serve = [*command, "serve", *(["--workers", str(workers)] if workers > 1 else [])]
    ports = [port, *range(metrics, metrics + workers)]
    with running(serve, cores, ports=ports, cwd=revision.root, **environment) as process:
        pids = (process.pid, *descendants(process.pid))
        yield RunningBroker(f"http://127.0.0.1:{port}", key, pids)


def connect(target: RunningBroker) -> None:
    """Register the app `bench` and import a private app's token for the user u1."""
    app = {
        "slug": "bench",
        "clientId": "bench",
        "clientSecret": "bench",
        "appId": "1",
        "scopes": ["oauth"],
    }
    for path, body in [
        ("/api/apps", app),
        ("/api/apps/bench/connections/u1/import", {"accessToken": "bench-token"}),
    ]:
        headers = {"Authorization": f"Bearer {target.key}", "Content-Type": "application/json"}
        request = Request(target.url + path, json.dumps(body).encode(), headers)
        try:
            with urlopen(request, timeout=30) as response:
                response.read()
        except HTTPError as error:
            problem = error.read().decode(errors="replace")[:300]
            sys.exit(f"bench: {path} was answered {error.code}: {problem}")
