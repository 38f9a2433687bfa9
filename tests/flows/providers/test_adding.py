"""docs/adding-a-provider.md, followed to the letter: its blocks make a provider that works."""

import asyncio
import json
import os
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest
from aiohttp import web

from tests.fixtures.brokers import SEALING_KEY

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"```python\n# (broker/\S+\.py)\n(.*?)```", re.DOTALL)
AFTER = "DEFAULT = "
"""What stands behind the tuple in the catalog."""


@pytest.fixture
def tree(tmp_path):
    """A copy of the code, with what the page says added to it."""
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("broker", "sql"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    blocks = dict(BLOCK.findall((ROOT / "docs" / "adding-a-provider.md").read_text()))
    catalog = tmp_path / "broker/providers/catalog.py"
    head, rest = catalog.read_text().split(AFTER, 1)
    catalog.write_text(head + blocks.pop("broker/providers/catalog.py") + "\n" + AFTER + rest)
    for name, text in blocks.items():
        file = tmp_path / name
        file.parent.mkdir()
        (file.parent / "__init__.py").touch()
        file.write_text(text)
    assert list(blocks) == ["broker/providers/acme/provider.py"]
    return tmp_path


class Acme:
    """The vendor of the page: consent without a person, tokens that rotate, things."""

    def __init__(self):
        self.made, self.revoked, self.accepted, self.refresh = 0, [], "", ""

    async def authorize(self, request):
        back = urlencode({"code": "c1", "state": request.query["state"]})
        raise web.HTTPFound(f"{request.query['redirect_uri']}?{back}")

    async def token(self, request):
        form = await request.post()
        if form["client_secret"] != "canary-of-acme":
            return web.json_response({"error": "invalid_client"}, status=401)
        if form.get("code") != "c1" and form.get("refresh_token") != self.refresh:
            return web.json_response({"error": "invalid_grant"}, status=400)
        self.made += 1
        self.accepted, self.refresh = f"canary-a{self.made}", f"canary-r{self.made}"
        tokens = {"access_token": self.accepted, "refresh_token": self.refresh}
        return web.json_response({**tokens, "expires_in": 3600})

    async def revoke(self, request):
        self.revoked.append((await request.post())["token"])
        return web.Response()

    async def answer(self, request):
        if request.headers.get("Authorization") != f"Bearer {self.accepted}":
            return web.json_response({}, status=401)
        return web.json_response({"id": "acc-1", "name": "Acme of Ada", "path": request.path_qs})


@pytest.fixture
async def acme():
    """Acme on a socket of its own."""
    vendor = Acme()
    app = web.Application()
    app.router.add_get("/oauth/authorize", vendor.authorize)
    app.router.add_post("/oauth/token", vendor.token)
    app.router.add_post("/oauth/revoke", vendor.revoke)
    app.router.add_get("/{path:.*}", vendor.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    vendor.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield vendor
    await runner.cleanup()


async def test_the_page_on_adding_a_provider_makes_one_that_works(
    tree, acme, dsn, unused_tcp_port_factory
):
    port = unused_tcp_port_factory()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BROKER_")},
        "PYTHONPATH": str(tree),
        "BROKER_DATABASE_URL": dsn,
        "BROKER_SEALING_KEYS": SEALING_KEY,
        "BROKER_LISTEN": f"127.0.0.1:{port}",
        "BROKER_METRICS_LISTEN": f"127.0.0.1:{unused_tcp_port_factory()}",
        "BROKER_PUBLIC_URL": f"http://localhost:{port}",
        "BROKER_ACME_URL": acme.url,
    }

    def broker(*arguments):
        return asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "broker", *arguments),
            env=environment,
            cwd=tree,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    made = await broker("workspace", "create", "Acme", "--json")
    output, problems = await asyncio.wait_for(made.communicate(), 30)
    assert made.returncode == 0, problems.decode()[-2000:]
    secret = json.loads(output)["clientSecret"]
    server = await broker("serve")
    try:
        assert await asyncio.wait_for(server.stdout.readline(), 30), "it does not start"
        headers = {"Authorization": f"Bearer {secret}"}
        async with aiohttp.ClientSession(f"http://localhost:{port}", headers=headers) as session:
            await walk(session, acme)
    finally:
        server.kill()
        await server.communicate()


async def walk(session, acme):
    async def asks(method, path, **rest):
        async with session.request(method, path, **rest) as answer:
            return answer.status, await answer.json()

    app = {
        "slug": "things",
        "provider": "acme",
        "clientId": "an-id",
        "clientSecret": "canary-of-acme",
        "scopes": ["things.read"],
    }
    status, registered = await asks("POST", "/api/apps", json=app)
    assert (status, registered["provider"], registered["webhookUrl"]) == (201, "acme", None)
    _, link = await asks("GET", "/api/acme/auth/things?userForeignIdentifier=u1")
    assert parse_qs(urlsplit(link["url"]).query)["client_id"] == ["an-id"]
    async with session.get(link["url"], headers={"Accept": "application/json"}) as ended:
        assert (ended.status, (await ended.json())["message"]) == (200, "User Registered")
    _, shown = await asks("GET", "/api/apps/things/connections/u1")
    assert (shown["accountId"], shown["accountName"]) == ("acc-1", "Acme of Ada")

    status, thing = await asks("GET", "/proxy/things/u1/things/7?x=1")
    assert (status, thing["path"]) == (200, "/things/7?x=1")
    call = {"method": "GET", "url": f"{acme.url}/things", "userForeignIdentifier": "u1"}
    assert (await asks("POST", "/api/acme/proxy/things", json=call))[1]["data"]["path"] == "/things"
    call["url"] = "https://elsewhere.example/things"
    assert (await asks("POST", "/api/raw/things", json=call))[1]["code"] == "destination-refused"

    acme.accepted = "ended early"
    assert (await asks("GET", "/proxy/things/u1/things"))[0] == 200
    assert (await asks("POST", "/api/apps/things/connections/u1/renew"))[0] == 200
    assert acme.made == 3
    _, deleted = await asks("DELETE", "/api/apps/things/connections/u1")
    assert deleted["revocation"] == "revoked"
    assert acme.revoked == ["canary-r3"]
