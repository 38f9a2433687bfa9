"""An answer that HubSpot broke off is broken off for the caller, whatever stands in between."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from broker.sandbox.core.faults import Fault
from tests.until import accepts, until

NGINX = shutil.which("nginx")
SHOWN = Path(__file__).parents[3] / "docs" / "deploy" / "nginx.conf"

WRAPPED = json.dumps(
    {"method": "GET", "url": "/crm/v3/objects/contacts", "userForeignIdentifier": "u1"}
)
FORMS = {
    "transparent": ("GET", "/proxy/hbdev/u1/crm/v3/objects/contacts", ""),
    "wrapped": ("POST", "/api/raw/hbdev", WRAPPED),
}

CONFIGURATION = """
daemon off; worker_processes 1; error_log {folder}/error.log; pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream broker {{ {first} server {broker}; }}
  server {{ listen 127.0.0.1:{port}; {server} location / {{ proxy_pass http://broker; {location} }} }}
}}
"""


@pytest.fixture
async def cut_broker(broker, hubspot):
    """A broker whose HubSpot breaks off each chunked answer after 200,000 bytes."""
    await broker.connects("u1")
    hubspot.faults.add(Fault("/crm/*", "reset", after_bytes=200_000, chunked=True))
    return broker


@pytest.mark.parametrize("form", FORMS)
async def test_a_peer_of_http_1_0_sees_that_an_answer_was_cut(cut_broker, form):
    """F1: its connection is reset, for its end would be the end of the answer."""
    method, path, body = FORMS[form]
    reader, writer = await asyncio.open_connection("localhost", URL(cut_broker.url).port)
    head = f"{method} {path} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {cut_broker.key}\r\n"
    kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    writer.write(f"{head}{kind}\r\n{body}".encode())

    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 10)
    writer.close()


@asynccontextmanager
async def nginx(folder, broker, port, server="", location="", first=None):
    """An nginx in front of a broker, and of what listens on another port or not; its address."""
    address = f"localhost:{URL(broker.url).port}"
    first = "" if first is None else f"server 127.0.0.1:{first} max_fails=0;"
    configuration = folder / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder, broker=address, port=port, server=server, location=location, first=first
        )
    )
    command = [NGINX, "-c", str(configuration), "-e", str(folder / "error.log")]
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
    try:
        await until(lambda: accepts(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


def shown_lines():
    """The lines for a server and for a location that docs/deploy/nginx.conf shows."""
    block = SHOWN.read_text()
    inside = re.search(r"location / \{(.*?)\}", block, re.DOTALL)[1]
    server = re.findall(r"^    ((?:large_)?client_[^\n]*;)", block, re.MULTILINE)
    location = [line.strip() for line in inside.splitlines() if "proxy_pass" not in line]
    return " ".join(server), " ".join(line for line in location if not line.startswith("#"))


@pytest.mark.skipif(NGINX is None or sys.platform == "win32", reason="nginx is not installed")
@pytest.mark.parametrize("configured", ["stock", "as shown"])
async def test_a_cut_answer_is_cut_behind_nginx(cut_broker, tmp_path, unused_tcp_port, configured):
    """F1."""
    server, location = shown_lines() if configured == "as shown" else ("", "")
    async with nginx(tmp_path, cut_broker, unused_tcp_port, server, location) as url:
        with pytest.raises(aiohttp.ClientPayloadError):
            await cut_broker.asks("GET", url + FORMS["transparent"][1])


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
async def test_the_nginx_lines_that_are_shown_pass_raw_paths_and_large_bodies(
    broker, tmp_path, unused_tcp_port
):
    """F20 of trials, U4: a large body, a path that must not be decoded, and HubSpot's longest."""
    await broker.connects("u1")
    target = "/_echo/a%2Fb%25c?x=%2520"

    async def body():
        for _ in range(300):
            yield b"x" * 10_000

    async with nginx(tmp_path, broker, unused_tcp_port, *shown_lines()) as url:
        answer = await broker.asks("POST", f"{url}/proxy/hbdev/u1{target}", data=body())
        long_target = "/_echo/" + "x" * (16_384 - len("/_echo/"))
        long = await broker.asks("GET", f"{url}/proxy/hbdev/u1{long_target}")

    assert (long.status, long.json()["target"]) == (200, long_target)
    assert (answer.json()["target"], answer.json()["bodyLength"]) == (target, 3_000_000)


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
async def test_what_a_stopped_broker_did_not_get_goes_to_the_other_and_a_sent_post_goes_nowhere_else(
    broker, hubspot, tmp_path, unused_tcp_port_factory
):
    """Two brokers behind the nginx that is shown, each call tried at either first."""
    await broker.connects("u1")
    port, other = unused_tcp_port_factory(), unused_tcp_port_factory()
    got = []

    async def take_and_end(reader, writer):
        got.append((await reader.readuntil(b"\r\n\r\n")).split()[0].decode())
        writer.close()

    async def statuses(url, method):
        call = f"{url}/proxy/hbdev/u1/_echo/x"
        body = None if method == "GET" else b"{}"
        # nginx takes turns, and knows each address of `localhost` as a server.
        return [(await broker.asks(method, call, data=body)).status for _ in range(6)]

    async with nginx(tmp_path, broker, port, *shown_lines(), first=other) as url:
        for method in ("GET", "POST", "PATCH", "DELETE"):
            assert set(await statuses(url, method)) == {200}, method

        taking = await asyncio.start_server(take_and_end, "127.0.0.1", other)
        async with taking:
            assert set(await statuses(url, "GET")) == {200}
            hubspot.seen.clear()
            posts = await statuses(url, "POST")

    assert set(posts) == {200, 502}
    assert "GET" in got, "it was tried there first"
    assert posts.count(502) == got.count("POST")
    assert posts.count(200) == len([each for each in hubspot.seen if "_echo" in each.raw_path])
