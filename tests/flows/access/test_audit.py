"""Who did what: written with what was done, read by a scope of its own, and verifiable."""

import asyncio
from uuid import UUID

import pytest


async def entries(broker, key=None, **query):
    answer = await broker.asks("GET", "/api/audit", key=key, params=query)
    assert answer.status == 200, answer.body
    return answer.json()["entries"]


def actions(found):
    return [each["action"] for each in found]


async def test_the_audit_says_who_did_what_from_where(broker):
    key_id = next(iter(await broker.parts.keys.of_workspace(UUID(broker.workspace)))).id
    await broker.asks("PATCH", "/api/apps/hbdev", json={"pkce": False, "displayName": "Acme"})
    await broker.connects("u1")
    await broker.asks("DELETE", "/api/apps/hbdev/connections/u1")

    found = await entries(broker)

    assert actions(found) == [
        "connection.deleted",
        "connection.connected",
        "app.changed",
        "app.registered",
        "workspace.created",
    ]
    deleted, connected, changed, _, created = found
    assert (deleted["actor"], deleted["actorName"], deleted["via"]) == (str(key_id), "first", "api")
    assert deleted["address"] in {"127.0.0.1", "::1"}, "of the connection, whatever a header says"
    assert (deleted["app"], deleted["userForeignIdentifier"]) == ("hbdev", "u1")
    assert (connected["actor"], connected["via"], connected["address"]) == (
        "install",
        "broker",
        None,
    )
    assert changed["detail"] == "pkce, display_name"
    assert created["actor"] == "operator"


async def test_entries_are_found_by_time_actor_and_action(broker):
    await broker.asks("PATCH", "/api/apps/hbdev", json={"pkce": False})
    middle = (await entries(broker))[0]["at"]
    await broker.asks("PATCH", "/api/apps/hbdev", json={"pkce": True})

    assert len(await entries(broker, action="app.*")) == 3
    assert len(await entries(broker, action="app.changed")) == 2
    assert await entries(broker, action="app") == []
    assert len(await entries(broker, since=middle, action="app.changed")) == 2
    assert len(await entries(broker, since=middle.replace("Z", "+00:00"))) == 2
    assert actions(await entries(broker, actor="operator")) == ["workspace.created"]
    page = (await broker.asks("GET", "/api/audit", params={"limit": 3})).json()
    rest = (await broker.asks("GET", "/api/audit", params={"before": page["before"]})).json()
    assert [each["sequence"] for each in page["entries"] + rest["entries"]] == [4, 3, 2, 1]
    assert rest["before"] is None


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"since": "9999-12-31T23:59:59-14:00"},
        {"before": "0"},
        {"before": "100000000000000000000"},
        {"limit": "501"},
        {"actor": "a\x00"},
        {"what": "x"},
    ],
)
async def test_what_is_no_question_to_the_audit_is_refused(broker, query):
    answer = await broker.asks("GET", "/api/audit", params=query)

    assert (answer.status, answer.code) == (400, "invalid-request")


async def test_only_a_key_with_audit_reads_it_and_one_of_some_apps_reads_theirs(broker):
    await broker.registers("other")
    limited = await broker.makes_key("audit", apps=("other",))

    refused = await broker.asks("GET", "/api/audit", key=await broker.makes_key("calls", "apps"))
    assert (refused.status, refused.code) == (403, "not-allowed")
    assert "audit" in refused.json()["detail"]
    assert [(each["action"], each["app"]) for each in await entries(broker, limited)] == [
        ("app.registered", "other")
    ]


async def test_another_workspace_has_an_audit_of_its_own(broker, second_broker):
    second_broker.key = ""
    await second_broker.makes_workspace()

    assert actions(await entries(second_broker)) == ["workspace.created"]
    assert len(await entries(broker)) == 2


async def test_entries_written_at_once_form_one_chain(broker):
    changes = [{"pkce": number % 2 == 0, "journal": number % 3 == 0} for number in range(20)]
    await asyncio.gather(
        *(broker.asks("PATCH", "/api/apps/hbdev", json=change) for change in changes),
        *(broker.makes_key("apps") for _ in range(10)),
    )

    verdict = await broker.parts.audit.verify(UUID(broker.workspace))

    assert (verdict.entries, verdict.broken) == (32, None)


@pytest.mark.parametrize(
    ("tampering", "broken"),
    [
        ("UPDATE audit SET actor = 'somebody' WHERE sequence = 3", 3),
        (
            (
                "UPDATE audit SET at = (at AT TIME ZONE 'UTC' + interval '1 microsecond')"
                " AT TIME ZONE 'UTC' WHERE sequence = 2"
            ),
            2,
        ),
        ("UPDATE audit SET address = NULL WHERE sequence = 4", 4),
        ("UPDATE audit SET hash = '' WHERE sequence = 4", 4),
        ("DELETE FROM audit WHERE sequence = 3", 3),
        ("DELETE FROM audit WHERE sequence = 1", 1),
        ("DELETE FROM audit WHERE sequence = 5", 5),
        ("DELETE FROM audit", 1),
    ],
)
async def test_a_tampered_entry_is_named(broker, database, tampering, broken):
    """O6."""
    for number in range(3):
        await broker.asks("PATCH", "/api/apps/hbdev", json={"pkce": number % 2 == 0})

    await database.execute(tampering)
    verdict = await broker.parts.audit.verify(UUID(broker.workspace))

    assert (verdict.broken, verdict.entries) == (broken, broken - 1)


async def test_what_is_rolled_back_leaves_no_entry(broker):
    before = await entries(broker)

    taken = await broker.registers("hbdev")

    assert taken.status == 409
    assert await entries(broker) == before


async def test_the_log_never_holds_a_secret(broker, database):
    await broker.asks("PATCH", "/api/apps/hbdev", json={"clientSecret": "canary-another"})
    stored = await database.fetchval("SELECT string_agg(audit::text, ' ') FROM audit")

    assert "canary" not in stored
    assert broker.key not in stored
    assert "client_secret" in stored
