"""Every sandbox at once: pages, data, registered apps, and the command that runs them."""

import asyncio
import json
import os
import re
import signal
import socket
import sys

import aiohttp
import pytest

from broker.sandbox.core.redirects import is_registered
from broker.sandbox.core.serving import url_of
from broker.sandbox.suite.suite import running

BELOW = "http://localhost:8080/*"
CALLBACK = "http://localhost:8080/vendor/app-1/callback"
AUTHORIZE = {
    "hubspot": "/oauth/authorize",
    "salesforce": "/services/oauth2/authorize",
    "shopify": "/shops/acme.myshopify.com/admin/oauth/authorize",
    "quickbooks": "/connect/oauth2",
    "xero": "/identity/connect/authorize",
}
SEEDED = {
    "hubspot": "Logistics",
    "salesforce": "Ada Byron",
    "shopify": "#1001",
    "woocommerce": "guest",
    "quickbooks": "Blue Logistics Ltd",
    "xero": "Silver Robotics Ltd",
    "enrichment": "ada@analytical.example",
}


@pytest.fixture
async def suite():
    async with running("127.0.0.1", 0, [BELOW]) as started:
        yield started


async def page(url, **query):
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, params=query, allow_redirects=False) as got,
    ):
        return got.status, await got.text()


async def test_a_redirect_url_that_is_not_registered_is_refused(suite):
    entries = {each.vendor: each for each in suite.entries}
    for vendor, path in AUTHORIZE.items():
        entry = entries[vendor]
        query = {
            "client_id": entry.app["clientId"],
            "scope": (" ", ",")[vendor == "shopify"].join(entry.app["scopes"]),
            "response_type": "code",
            "state": "s",
            "code_challenge": "c" * 43,
            "code_challenge_method": "S256",
        }
        accepted = await page(entry.url + path, **query, redirect_uri=CALLBACK)
        refused = await page(entry.url + path, **query, redirect_uri="http://localhost:80/x")

        assert accepted[0] == 200, (vendor, accepted)
        assert "<form" in accepted[1], (vendor, accepted)
        assert refused[0] == 400, (vendor, refused)


@pytest.mark.parametrize(
    ("url", "registered", "taken"),
    [
        ("https://a.example/back", "https://a.example/back", True),
        ("https://a.example/back?x=1", "https://a.example/back", False),
        ("https://a.example/back", "https://a.example/*", True),
        ("https://a.example.evil.example/back", "https://a.example/*", False),
        ("https://a.example", "https://a.example/*", False),
        ("https://a.example/back", "https://a.example/b*", False),
    ],
)
def test_redirect_urls_are_compared_whole_unless_the_entry_ends_in_a_star(url, registered, taken):
    assert is_registered(url, [registered]) is taken


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://localhost:1"),
        ("0.0.0.0", "http://localhost:1"),
        ("::1", "http://localhost:1"),
        ("sandbox", "http://sandbox:1"),
        ("sandbox.internal-net.example", "http://sandbox.internal-net.example:1"),
    ],
)
def test_urls_name_the_host_that_a_sandbox_listens_at_unless_it_is_an_address(host, url):
    assert url_of(host, 1) == url


async def test_every_sandbox_has_a_page_with_data_and_hubspots_lists_them_all(suite):
    pages = {each.vendor: await page(each.url + "/") for each in suite.entries}

    assert list(pages) == [
        "hubspot", "fml", "salesforce", "shopify", "woocommerce", "quickbooks", "xero",
        "enrichment",
    ]  # fmt: skip
    assert {status for status, _ in pages.values()} == {200}
    for vendor, text in SEEDED.items():
        assert text in pages[vendor][1], vendor
    for each in suite.entries:
        assert f'<a href="{each.url}/">{each.name}</a>' in pages["hubspot"][1]
        for name, value in each.settings.items():
            assert f"{name}={value}" in pages["hubspot"][1]


async def test_accounts_begin_empty_without_seed(suite):
    async with running("127.0.0.1", 0, [BELOW], seed=False) as empty:
        pages = {each.vendor: (await page(each.url + "/"))[1] for each in empty.entries}

    for vendor, text in SEEDED.items():
        absent = "(guest)" if vendor == "woocommerce" else text
        assert absent not in pages[vendor], vendor


async def test_hubspot_saves_its_data_in_a_folder_and_adds_new_redirect_urls(tmp_path):
    for below in ("http://localhost:1/*", "http://localhost:2/*"):
        async with running("127.0.0.1", 0, [below], data=tmp_path) as suite:
            sandbox = suite.started["hubspot"].running.sandbox
            app = sandbox.apps["hubspot-sandbox"]
            contacts = len(sandbox.portals[101].records["0-1"].by_id)

    assert app.redirect_urls == ["http://localhost:1/*", "http://localhost:2/*"]
    assert contacts == 75


async def test_a_taken_port_stops_all_of_them():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="address already in use"):
            async with running("127.0.0.1", port - 3, [BELOW]):
                pass

    with pytest.raises(aiohttp.ClientConnectionError):
        await page(f"http://127.0.0.1:{port - 3}/")


async def command(*arguments, without=""):
    absent = f"sys.modules[{without!r}] = None; " if without else ""
    code = f"import sys; {absent}sys.argv[0] = 'broker'; from broker.__main__ import main; main()"
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, "sandbox", *arguments,
        env={**os.environ, "BROKER_PUBLIC_URL": "https://broker.example"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_the_command_prints_one_object_and_ends_on_sigterm():
    process = await command("--port", "0", "--json")
    async with asyncio.timeout(60):
        printed = json.loads(await process.stdout.readline())
        status, _ = await page(printed["sandboxes"][-1]["url"] + "/")
        process.send_signal(signal.SIGTERM)
        rest, problems = await process.communicate()

    assert status == 200
    assert (rest, process.returncode) == (b"", 0), problems
    assert printed["sandboxes"][0]["vendor"] == "hubspot"
    assert printed["missing"] == {}
    last = printed["sandboxes"][-1]["url"]
    assert printed["settings"]["BROKER_CLEARBIT_URL"] == f"{last}/clearbit"


async def test_the_command_prints_settings_and_apps_for_people():
    process = await command("--port", "0")
    async with asyncio.timeout(60):
        lines = []
        while not lines or not lines[-1].startswith("Enrichment"):
            lines.append((await process.stdout.readline()).decode().rstrip())
        process.send_signal(signal.SIGTERM)
        await process.communicate()

    text = "\n".join(lines)
    assert re.search(r"^broker: sandbox HubSpot at http://localhost:\d+$", text, re.MULTILINE)
    assert re.search(
        r"^export BROKER_SHOPIFY_URL=http://localhost:\d+/shops/\{shop\}$", text, re.MULTILINE
    )
    assert "for redirect URLs below https://broker.example/:" in text
    assert "clientId=quickbooks-sandbox clientSecret=quickbooks-sandbox-secret" in text


async def test_without_graphql_core_only_shopify_is_missing_and_named_with_its_remedy():
    process = await command("--port", "0", "--json", without="graphql")
    async with asyncio.timeout(60):
        printed = json.loads(await process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        await process.communicate()

    assert len(printed["sandboxes"]) == 7
    assert list(printed["missing"]) == ["shopify"]
    assert "pip install 'hubspot-broker[sandbox]'" in printed["missing"]["shopify"]
