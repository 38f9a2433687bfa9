"""Connections in both spellings."""

import pytest

from broker.sandbox.core.faults import Fault
from tests.until import until


async def test_stackgos_spellings_tell_what_ours_do(broker):
    await broker.connects("u1")

    users = (await broker.asks("GET", "/api/saas-org-user/get-users/hbDev")).json()
    user = await broker.asks(
        "GET", "/api/saas-org-user/get-user/hbdev", params={"userForeignIdentifier": "u1"}
    )
    unknown = await broker.asks(
        "GET", "/api/saas-org-user/get-user/hbdev", params={"userForeignIdentifier": "U1"}
    )
    ours = (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).json()

    assert (users["page"], users["pages"], users["total"]) == (1, 1, 1)
    assert users["userForeignIdentifiers"] == [
        {name: ours[name] for name in ("id", "status", "createdAt", "updatedAt")}
        | {"userForeignIdentifier": "u1"}
    ]
    assert user.json()["connected"] is True
    assert user.json()["data"] == "u1"
    assert user.json()["userForeignIdentifiers"] == users["userForeignIdentifiers"]
    assert unknown.json() == {"connected": False, "data": "U1", "userForeignIdentifiers": []}


async def test_lists_come_in_pages_oldest_first(broker, database):
    """L8."""
    await broker.connects("first")
    await database.execute(
        """
        INSERT INTO connection (workspace_id, id, app_id, user_ref, status, scopes)
        SELECT workspace_id, gen_random_uuid(), app_id, 'u' || n, 'PENDING', '{}'
          FROM connection, generate_series(1, 250) AS n
        """
    )
    await database.execute(
        "INSERT INTO connection_grant (workspace_id, connection_id)"
        " SELECT workspace_id, id FROM connection WHERE status = 'PENDING'"
    )

    async def stackgo(page):
        path = f"/api/saas-org-user/get-users/hbdev?page={page}"
        return (await broker.asks("GET", path)).json()

    pages = [await stackgo(page) for page in (1, 2, 3, 4)]
    assert [len(page["userForeignIdentifiers"]) for page in pages] == [100, 100, 51, 0]
    assert {(page["pages"], page["total"]) for page in pages} == {(3, 251)}
    assert pages[0]["userForeignIdentifiers"][0]["userForeignIdentifier"] == "first"

    found, after = [], 0
    while after is not None:
        path = f"/api/apps/hbdev/connections?limit=120&after={after}"
        page = (await broker.asks("GET", path)).json()
        found += [each["id"] for each in page["connections"]]
        after = page["after"]
    assert len(found) == 251
    assert found == sorted(found)
    active = await broker.asks("GET", "/api/apps/hbdev/connections?status=ACTIVE&hubId=101")
    assert len(active.json()["connections"]) == 1


@pytest.mark.parametrize(
    "query",
    ["limit=1000000000", "limit=0", "after=x", "status=GONE", "hubId=-1", "x=1", "limit=1&limit=2"],
)
async def test_a_listing_that_makes_no_sense_is_refused(broker, query):
    answer = await broker.asks("GET", f"/api/apps/hbdev/connections?{query}")

    assert (answer.status, answer.code) == (400, "invalid-request")


async def test_deleting_wipes_at_once_and_revokes(broker, second_broker, hubspot, database):
    """T9, U9."""
    await broker.connects("u1")
    assert (await second_broker.proxies()).status == 200
    refresh = next(iter(hubspot.grants.refresh_tokens))

    answer = await broker.asks("DELETE", "/api/apps/hbdev/connections/u1")

    assert answer.json() == {"deleted": True, "revocation": "revoked"}
    assert hubspot.revocations == [refresh]
    assert await database.fetchval("SELECT count(*) FROM connection") == 0
    row = await database.fetchrow("SELECT outcome, refresh_token FROM revocation")
    assert tuple(row) == ("revoked", None)
    assert (await broker.proxies()).status == 404

    async def gone():
        answer = await second_broker.proxies()
        return answer if answer.status == 404 else None

    assert (await until(gone)).code == "connection-not-found"


@pytest.mark.parametrize("how", ["query", "body"])
async def test_stackgos_delete_takes_the_user_from_query_or_body(broker, how):
    await broker.connects("u1")
    named = {"userForeignIdentifier": "u1"}

    answer = await broker.asks(
        "DELETE",
        "/api/saas-org-user/delete-user/hbDev",
        params=named if how == "query" else None,
        json=named if how == "body" else None,
    )

    assert answer.json() == {
        "message": "userForeignIdentifier deleted",
        "userForeignIdentifier": "u1",
        "appSlug": "hbdev",
    }
    again = await broker.asks("DELETE", "/api/saas-org-user/delete-user/hbdev", params=named)
    assert again.status == 404


async def test_two_users_named_for_one_delete_delete_nobody(broker):
    """U3."""
    await broker.connects("u1")

    answer = await broker.asks(
        "DELETE",
        "/api/saas-org-user/delete-user/hbdev?userForeignIdentifier=u1",
        json={"userForeignIdentifier": "u2"},
    )

    assert answer.status == 400
    assert (await broker.proxies()).status == 200


async def test_a_revocation_waits_for_hubspot(broker, hubspot, database):
    """T9."""
    await broker.connects("u1")
    hubspot.faults.add(Fault("/oauth/*/revoke", "status", status=503))

    answer = await broker.asks("DELETE", "/api/apps/hbdev/connections/u1")
    hubspot.faults.clear()
    early = await broker.parts.revoker.revoke_due(10)
    await database.execute("UPDATE revocation SET due_at = now()")
    done = await broker.parts.revoker.revoke_due(10)

    assert answer.json()["revocation"] == "pending"
    assert (early, done) == (0, 1)
    assert len(hubspot.revocations) == 1
    assert await database.fetchval("SELECT outcome FROM revocation") == "revoked"


async def test_a_grant_that_another_user_holds_is_not_revoked(broker, hubspot):
    """C22."""
    hubspot.shares_refresh_tokens = True
    await broker.connects("u1")
    await broker.connects("u2")

    first = await broker.asks("DELETE", "/api/apps/hbdev/connections/u1")
    assert first.json()["revocation"] == "shared-grant"
    assert hubspot.revocations == []
    assert (await broker.proxies(user="u2")).status == 200

    second = await broker.asks("DELETE", "/api/apps/hbdev/connections/u2")
    assert second.json()["revocation"] == "revoked"


async def test_a_grant_can_be_renewed_on_demand(broker, hubspot):
    await broker.connects("u1")
    before = (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).json()

    after = await broker.asks("POST", "/api/apps/hbdev/connections/u1/renew")

    assert after.json()["renewedAt"] > before["renewedAt"]
    assert hubspot.refreshes == 1


async def test_a_grant_from_elsewhere_is_taken_once_proved(broker, hubspot):
    issued = hubspot.grants.issue_refresh(
        "client-of-hbdev", 102, "grace@globex.example", ["oauth", "crm.objects.contacts.read"]
    )

    taken = await broker.asks(
        "POST", "/api/apps/hbdev/connections/u9/import", json={"refreshToken": issued.token}
    )
    refused = await broker.asks(
        "POST", "/api/apps/hbdev/connections/u8/import", json={"refreshToken": "canary-none"}
    )

    assert taken.json()["hubId"] == 102
    assert taken.json()["missingScopes"] == ["crm.objects.contacts.write"]
    assert (await broker.proxies(user="u9")).status == 200
    assert refused.json()["errors"][0]["field"] == "refreshToken"
    assert (await broker.asks("GET", "/api/apps/hbdev/connections/u8")).status == 404


async def test_a_private_apps_token_is_taken_and_never_renewed(broker, hubspot, database):
    issued = hubspot.grants.issue_refresh(
        "client-of-hbdev", 102, "grace@globex.example", ["oauth", "crm.objects.contacts.read"]
    )
    access = hubspot.grants.issue_access(issued, hubspot.now() + 10**9)

    taken = await broker.asks(
        "POST", "/api/apps/hbdev/connections/u9/import", json={"accessToken": access.token}
    )
    refused = await broker.asks(
        "POST", "/api/apps/hbdev/connections/u8/import", json={"accessToken": "canary-none"}
    )

    assert taken.json()["hubId"] == 102
    assert (await broker.proxies(user="u9")).status == 200
    assert await database.fetchval("SELECT due_at FROM renewal") is None
    assert await broker.parts.grants.renew_due(10) == 0
    assert refused.json()["errors"][0]["field"] == "accessToken"


async def test_scopes_that_the_app_wants_since_are_shown_as_missing(broker):
    await broker.connects("u1")

    await broker.asks("PATCH", "/api/apps/hbdev", json={"scopes": ["oauth", "tickets"]})

    shown = (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).json()
    assert shown["missingScopes"] == ["tickets"]


async def test_when_a_connection_was_used_is_written_behind_the_calls(broker):
    await broker.connects("u1")
    await broker.proxies()

    await broker.parts.proxy.flush_last_used()

    assert (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).json()["lastUsedAt"]
