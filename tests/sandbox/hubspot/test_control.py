"""The control API, the page, and data that survives."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from broker.sandbox.hubspot.server import serve
from tests.until import until

CONTACTS = "/crm/v3/objects/contacts"


async def test_levers_are_seen_and_set_and_an_unknown_one_is_refused(app):
    levers = {
        "autoConsent": 102,
        "searchLag": 2,
        "mayNotInstall": ["ada@acme.example"],
        "limits": {"tenSecondly": 7, "daily": 9},
        "webhooks": {"duplicates": 2},
    }
    assert (await app.request("POST", "/_sandbox/levers", levers)).status == 204
    stand = (await app.request("GET", "/_sandbox/levers")).body
    assert (stand["autoConsent"], stand["searchLag"]) == (102, 2)
    assert (stand["limits"]["tenSecondly"], stand["limits"]["daily"]) == (7, 9)
    assert stand["webhooks"]["duplicates"] == 2
    assert stand["mayNotInstall"] == ["ada@acme.example"]
    for wrong in ({"nosuch": 1}, {"limits": {"nosuch": 1}}, {"webhooks": {"nosuch": 1}}, []):
        assert (await app.request("POST", "/_sandbox/levers", wrong)).status == 400


async def test_counters_show_calls_by_endpoint_and_by_generation_of_token(app):
    await app.request("GET", CONTACTS)
    await app.request("GET", f"{CONTACTS}/999")
    counters = (await app.request("GET", "/_sandbox/counters")).body
    assert counters["endpoints"]["GET /crm/v3/objects/{objectType}/{objectId}"] == 1
    own = [each for each in counters["tokens"] if each["clientId"] == "app"]
    assert [(each["generation"], each["calls"]) for each in own] == [(0, 2)]


async def test_requests_are_listed_without_their_credentials(app):
    await app.request("GET", f"{CONTACTS}?limit=3")
    got = await app.request("GET", "/_sandbox/requests?path=limit")
    assert [each["target"] for each in got.body] == [f"{CONTACTS}?limit=3"]
    assert app.token not in json.dumps(got.body)


async def test_an_unknown_kind_of_fault_is_refused(app):
    fault = {"path": "*", "kind": "nosuch"}
    assert (await app.request("POST", "/_sandbox/faults", fault)).status == 400
    assert (await app.request("POST", "/_sandbox/faults", {"kind": "hang"})).status == 400
    assert (await app.request("GET", "/_sandbox/faults")).body == []


async def test_the_page_shows_accounts_records_requests_and_levers(app):
    await app.create("contacts", email="<b>@acme.example")
    await app.request("POST", "/_sandbox/faults", {"path": "/x*", "kind": "hang"})
    got = await app.request("GET", "/")
    for shown in ("acme.example", "1 contacts", "autoConsent", "/x*", CONTACTS):
        assert shown in got.body, shown
    assert "<b>@acme" not in got.body


async def test_a_seeded_account_is_believable_and_the_same_every_time(app):
    await app.request("POST", "/_sandbox/portals/101/seed", {"companies": 5})
    first = (await app.request("GET", f"{CONTACTS}?limit=100&associations=companies")).body[
        "results"
    ]
    assert len(first) == 15
    assert all(each["associations"]["companies"]["results"] for each in first)
    app.hubspot.add_portal(101, "acme.example", ["ada@acme.example"])
    await app.request("POST", "/_sandbox/portals/101/seed", {"companies": 5})
    again = (await app.request("GET", f"{CONTACTS}?limit=100")).body["results"]
    names = [[each["properties"]["email"] for each in every] for every in (first, again)]
    assert names[0] == names[1]


async def test_data_survives_a_restart_with_tokens_uniqueness_and_webhooks(app, tmp_path):
    first = await serve("127.0.0.1", 0, data=tmp_path, seed=True)
    app.hubspot = first.sandbox
    app.hubspot.url = first.url
    app.granted()
    await app.create("contacts", email="kept@acme.example")
    schema = {
        "name": "truck",
        "labels": {},
        "requiredProperties": [],
        "properties": [],
        "associatedObjects": ["CONTACT"],
    }
    await app.request("POST", "/crm/v3/schemas", schema)
    first.sandbox.jump(100)
    await first.close()
    assert (tmp_path / "sandbox.json").stat().st_mode & 0o077 == 0

    second = await serve("127.0.0.1", 0, data=tmp_path, seed=True)
    app.hubspot = second.sandbox
    app.hubspot.url = second.url
    try:
        assert second.sandbox.ahead == 100
        got = await app.request("GET", f"{CONTACTS}/kept@acme.example?idProperty=email")
        assert got.status == 200
        again = {"properties": {"email": "kept@acme.example"}}
        assert (await app.request("POST", CONTACTS, again)).status == 409
        assert (await app.request("GET", "/crm/v3/schemas/truck")).status == 200
        assert len(second.sandbox.portals[102].of(second.sandbox.portals[102].type("0-2")).by_id)
        second.sandbox.revoke_grants(101)
        assert (await app.request("GET", CONTACTS)).status == 401
    finally:
        await second.close()


async def test_the_command_saves_data_even_when_it_is_killed(app, tmp_path):
    async def started():
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "broker", "sandbox", "--port", "0", "--data", str(tmp_path),
            "--seed", stdout=asyncio.subprocess.PIPE, env=os.environ,
        )  # fmt: skip
        line = (await program.stdout.readline()).decode()
        return program, line.split()[-1]

    program, url = await started()
    app.hubspot.url = url
    made = {"hubId": 105, "domain": "kept.example", "users": ["a@kept.example"]}
    assert (await app.request("POST", "/_sandbox/portals", made)).status == 201
    await until(lambda: "kept.example" in (tmp_path / "sandbox.json").read_text())
    program.send_signal(signal.SIGKILL)
    await program.wait()

    program, app.hubspot.url = await started()
    try:
        page = await app.request("GET", "/")
        assert "kept.example (105)" in page.body
        assert "25 companies" in page.body
    finally:
        program.terminate()
        assert await program.wait() == 0


async def test_data_of_another_format_is_left_alone_and_refused(tmp_path):
    file = Path(tmp_path) / "sandbox.json"
    file.write_text('{"other": 1}')
    with pytest.raises(ValueError, match="validation error"):
        await serve("127.0.0.1", 0, data=tmp_path)
    assert file.read_text() == '{"other": 1}'
