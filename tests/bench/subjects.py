"""What is measured: processes that answer the same calls, each pinned to one core."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

SUBJECT_CORE, OTHER_CORE = "0", "1"
KEY = "k1:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="
HERE = Path(__file__).parent

ANSWER = json.dumps(
    {
        "id": "101",
        "properties": {f"property_{n}": f"value of property {n}" for n in range(17)},
        "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-01T00:00:00.000Z",
        "archived": False,
    }
)
"""About 1 kB, as a HubSpot record is."""

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    keepalive_timeout 600s;
    tcp_nodelay on;
    {inside}
}}
"""

UPSTREAM = """
    server {{
        listen 127.0.0.1:{port} reuseport;
        default_type application/json;
        add_header X-HubSpot-RateLimit-Max 2000000000;
        add_header X-HubSpot-RateLimit-Interval-Milliseconds 10000;
        add_header x-hubspot-correlation-id 019cd9fe-d093-7d4f-99bc-45975fdcf7c6;
        location /account-info/ {{ return 200 '{{"portalId": 101}}'; }}
        location / {{ return 200 '{answer}'; }}
    }}
"""

REVERSE_PROXY = """
    upstream hubspot {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} reuseport;
        location / {{
            proxy_pass http://hubspot;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
"""


@dataclass
class Subject:
    """Something that answers: its address with the call's path, headers, and its processes."""

    name: str
    url: str
    headers: tuple[str, ...]
    pids: tuple[int, ...]

    def cpu_seconds(self) -> float:
        """CPU that its processes used so far, by the kernel's accounting."""
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Memory that its processes hold."""
        total = 0
        for pid in self.pids:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS"):
                    total += int(line.split()[1])
        return total / 1024


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        sys.exit(f"bench: {name} is missing; on Debian: apt install wrk nginx-light")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit(f"bench: nothing answers on port {port}")


@contextmanager
def running(core: str, *command: str, **environment: str):
    """A process pinned to a core, ended with the block."""
    process = subprocess.Popen(
        ["taskset", "-c", core, *command],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def nginx(core: str, inside: str, port: int, **values: object):
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        config = Path(folder) / "nginx.conf"
        text = inside.format(port=port, **values)
        config.write_text(NGINX.format(folder=folder, inside=text))
        with running(core, program("nginx"), "-p", folder, "-c", str(config)) as process:
            wait_for(port)
            yield (process.pid, *_children(process.pid))


def _children(pid: int) -> tuple[int, ...]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return tuple(int(child) for child in text.split())


@contextmanager
def only_on(core: str):
    """What is started in the block stays on a core: a subject has its own to itself."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(core)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def broker(upstream: str, **changes: str):
    """The real `broker serve` on a Postgres of its own, with a connection; the process, the key."""
    from broker.embedded import server as embedded

    folder = Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
    folder.chmod(0o755)
    port, metrics = free_port(), free_port()
    with only_on(OTHER_CORE):
        dsn = embedded.start(folder / "data")
    environment = {
        "BROKER_DATABASE_URL": dsn,
        "BROKER_SEALING_KEYS": KEY,
        "BROKER_LISTEN": f"127.0.0.1:{port}",
        "BROKER_METRICS_LISTEN": f"127.0.0.1:{metrics}",
        "BROKER_PUBLIC_URL": f"http://localhost:{port}",
        "BROKER_HUBSPOT_API_URL": upstream,
        "BROKER_HUBSPOT_APP_URL": upstream,
        "BROKER_LOG_FORMAT": "json",
        **changes,
    }
    whole = {**os.environ, **environment}
    command = [sys.executable, "-m", "broker"]
    try:
        subprocess.run([*command, "migrate"], env=whole, check=True, capture_output=True)
        made = subprocess.run(
            [*command, "workspace", "create", "bench", "--json"],
            env=whole,
            check=True,
            capture_output=True,
        )
        key = json.loads(made.stdout)["clientSecret"]
        with running(SUBJECT_CORE, *command, "serve", **environment) as process:
            wait_for(port)
            yield process, f"http://127.0.0.1:{port}", key, environment["BROKER_DATABASE_URL"]
    finally:
        embedded.stop(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)


def connect(url: str, key: str) -> None:
    """Register an app and bring in a private app's token for the user u1."""
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
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = Request(url + path, json.dumps(body).encode(), headers)
        urlopen(request).read()


CALL = "/crm/v3/objects/contacts/101"


@contextmanager
def everybody():
    """All subjects, running, and the database's address."""
    with ExitStack() as stack:
        upstream = free_port()
        pids = stack.enter_context(nginx(OTHER_CORE, UPSTREAM, upstream, answer=ANSWER))
        base = f"http://127.0.0.1:{upstream}"
        subjects = [Subject("direct", base + CALL, (), pids)]
        port = free_port()
        pids = stack.enter_context(nginx(SUBJECT_CORE, REVERSE_PROXY, port, upstream=upstream))
        subjects.append(Subject("nginx", f"http://127.0.0.1:{port}{CALL}", (), pids))
        port = free_port()
        script = str(HERE / "passthrough.py")
        process = stack.enter_context(
            running(SUBJECT_CORE, sys.executable, script, str(port), base)
        )
        wait_for(port)
        subjects.append(
            Subject("bare aiohttp", f"http://127.0.0.1:{port}{CALL}", (), (process.pid,))
        )
        process, url, key, dsn = stack.enter_context(broker(base))
        connect(url, key)
        headers = (f"Authorization: Bearer {key}",)
        subjects.append(Subject("broker", f"{url}/proxy/bench/u1{CALL}", headers, (process.pid,)))
        yield subjects, dsn
