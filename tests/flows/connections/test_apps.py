"""Registering apps."""

import asyncio
from uuid import UUID

import pytest


async def test_an_app_is_registered_without_ever_showing_its_secret(broker):
    """T8."""
    registered = (await broker.registers("hbDev2")).json()
    shown = await broker.asks("GET", "/api/apps/HBDEV2")
    listed = await broker.asks("GET", "/api/apps")

    assert registered["slug"] == "hbdev2"
    assert registered["UUID"] == broker.workspace
    assert registered["redirectUrl"] == f"{broker.url}/hubspot/hbdev2-{broker.workspace}/callback"
    assert registered["webhookUrl"] == f"{broker.url}/hubspot/hbdev2-{broker.workspace}/webhooks"
    assert shown.json() == registered
    assert [app["slug"] for app in listed.json()["apps"]] == ["hbdev", "hbdev2"]
    assert b"canary" not in shown.body + listed.body


async def test_a_slug_is_one_apps(broker):
    answers = await asyncio.gather(*(broker.registers("twice") for _ in range(10)))

    assert sorted(answer.status for answer in answers) == [201] + [409] * 9
    assert {answer.code for answer in answers if answer.status == 409} == {"slug-taken"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slug", "-x"),
        ("slug", "x" * 64),
        ("slug", "a b"),
        ("slug", "ü"),
        ("slug", None),
        ("clientSecret", ""),
        ("appId", "12x"),
        ("scopes", []),
        ("scopes", ["a b"]),
        ("scopes", "oauth"),
        ("returnUrls", ["http://product.example/"]),
        ("returnUrls", ["https://product.example/#x"]),
        ("returnUrls", ["javascript:alert(1)"]),
        ("origins", ["https://product.example/path"]),
        ("confirm", "maybe"),
        ("policy", [{"methods": ["TRACE"], "path": "/x"}]),
        ("policy", [{"methods": [], "path": "/x"}]),
        ("policy", [{"methods": ["GET"], "path": "crm"}]),
        ("clientSecret", "\ud800"),
        ("clientSecret", "two words"),
        ("displayName", ""),
        ("displayName", "x" * 101),
        ("logoUrl", "http://product.example/logo.png"),
        ("logoUrl", "javascript:alert(1)"),
        ("installUrl", "https://product.example/#x"),
        ("marketplace", "sometimes"),
        ("is_admin", True),
        ("workspace_id", "00000000-0000-0000-0000-000000000000"),
    ],
)
async def test_what_is_not_an_app_is_refused_by_the_field(broker, field, value):
    """U6."""
    answer = await broker.registers(**{"slug": "other", field: value})

    assert (answer.status, answer.code) == (400, "invalid-request")
    assert answer.json()["errors"][0]["field"].split(".")[0] == field
    assert b"canary" not in answer.body


async def test_a_changed_secret_keeps_the_old_one_for_a_day_of_webhooks(broker, database):
    changed = await broker.asks("PATCH", "/api/apps/hbdev", json={"clientSecret": "canary-new"})

    assert changed.status == 200
    hours = await database.fetchval(
        "SELECT extract(epoch FROM previous_secret_until - now()) / 3600 FROM app"
    )
    assert 23.9 < hours <= 24
    assert (await broker.parts.apps.get(*_where(broker))).client_secret.reveal() == "canary-new"


async def test_a_change_leaves_the_rest(broker):
    before = (await broker.asks("GET", "/api/apps/hbdev")).json()

    after = (await broker.asks("PATCH", "/api/apps/hbdev", json={"pkce": False})).json()

    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"pkce", "updatedAt"}


async def test_what_is_said_about_an_app_comes_back_and_changes_by_the_field(broker):
    more = {
        "displayName": "Acme Cloud",
        "logoUrl": "https://product.example/logo.svg",
        "installUrl": "https://product.example/connect",
        "marketplace": True,
        "journal": True,
        "legacySignatures": True,
        "policy": [{"methods": ["GET"], "path": "/crm/v3/objects/contacts*"}],
    }
    made = (await broker.registers("other", **more)).json()

    assert {name: made[name] for name in more} == more
    plain = (await broker.registers("plain")).json()
    assert [plain[name] for name in more] == [None, None, None, False, False, False, None]
    kept = await broker.asks(
        "PATCH", "/api/apps/other", json={"marketplace": None, "journal": None, "scopes": None}
    )
    assert {name: kept.json()[name] for name in more} == more
    nullable = ("displayName", "logoUrl", "installUrl", "policy")
    cleared = await broker.asks("PATCH", "/api/apps/other", json=dict.fromkeys(nullable))
    assert [cleared.json()[name] for name in nullable] == [None] * 4
    assert cleared.json()["marketplace"] is True


async def test_a_wrong_field_is_explained_without_words_of_a_library(broker):
    answer = await broker.registers(slug="not a slug", appId="x", scopes=["a b"])

    messages = {each["field"]: each["message"] for each in answer.json()["errors"]}
    assert messages["slug"].startswith("must have 1 to 63 letters")
    assert messages["appId"] == "must be a number"
    assert messages["scopes.0"].startswith("must be a scope")


async def test_a_removed_app_is_as_if_it_had_never_been(broker, hubspot, database):
    """T9."""
    await broker.connects("u1")
    await broker.connects("u2")
    link = await broker.links("u3")

    removed = await broker.asks("DELETE", "/api/apps/hbdev")

    assert removed.status == 204
    for method, path in [
        ("GET", "/api/apps/hbdev"),
        ("PATCH", "/api/apps/hbdev"),
        ("DELETE", "/api/apps/hbdev"),
        ("GET", "/api/apps/hbdev/connections"),
        ("GET", "/proxy/hbdev/u1/crm/v3/x"),
    ]:
        answer = await broker.asks(method, path, json={} if method == "PATCH" else None)
        assert (answer.status, answer.code) == (404, "app-not-found"), path
    assert (await broker.asks("GET", await broker.consents(link), key="")).status == 404
    assert await database.fetchval("SELECT count(*) FROM connection") == 0
    await broker.parts.revoker.revoke_due(10)
    assert len(hubspot.revocations) == 2
    await broker.parts.apps.purge_removed()
    assert await database.fetchval("SELECT count(*) FROM app") == 0
    assert (await broker.registers("hbdev")).status == 201


def _where(broker):
    return UUID(broker.workspace), "hbdev"
