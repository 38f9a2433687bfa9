"""Grants that are always good: renewed once, ahead, and never by guessing."""

import asyncio

import pytest

from broker.sandbox.core.faults import Fault

CALL = "/_echo/call"
GRANTS = "SELECT * FROM connection_grant JOIN renewal USING (workspace_id, connection_id)"


async def test_a_stale_grant_is_renewed_once_however_many_ask(
    broker, second_broker, hubspot, database
):
    """R1."""
    await broker.connects("u1")
    await broker.makes_stale(database)
    second_broker.parts.proxy.clear_cache()

    answers = await asyncio.gather(
        *(one.proxies(CALL) for one in [broker, second_broker] for _ in range(30))
    )

    assert {answer.status for answer in answers} == {200}
    assert hubspot.refreshes == 1


async def test_a_grant_that_hubspot_ended_is_not_tried_again(
    broker, second_broker, hubspot, database
):
    """R6."""
    await broker.connects("u1")
    hubspot.revoke_grants(101)
    await broker.makes_stale(database)

    answers = [await one.proxies(CALL) for one in [broker, second_broker] * 5]

    assert {answer.status for answer in answers} == {409}
    assert {answer.code for answer in answers} == {"reauth-required"}
    assert answers[0].headers["Broker-Error"] == "reauth-required"
    assert answers[0].headers["x-should-retry"] == "false"
    assert hubspot.refreshes == 1
    shown = (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).json()
    assert (shown["status"], shown["lastError"]) == ("REAUTH_REQUIRED", "BAD_REFRESH_TOKEN")
    assert (
        await database.fetchval(
            "SELECT count(*) FROM connection_grant WHERE access_token IS NOT NULL"
        )
        == 0
    )


async def test_the_refusal_says_where_to_connect_again(broker, hubspot, database):
    await broker.connects("u1")
    hubspot.revoke_grants(101)
    await broker.makes_stale(database)
    only_proxy = await broker.makes_key("proxy")

    answer = await broker.proxies(CALL)
    without = await broker.proxies(CALL, key=only_proxy)

    back = await broker.consents(answer.json()["reconnectUrl"])
    broker.secrets.append(answer.json()["reconnectUrl"].partition("state=")[2].partition("&")[0])
    assert (await broker.asks("GET", back, key="")).status == 200
    assert (await broker.proxies(CALL)).status == 200
    assert "reconnectUrl" not in without.json()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("/oauth/*/token", "status", status=500), id="500"),
        pytest.param(Fault("/oauth/*/token", "status", status=429), id="429"),
        pytest.param(Fault("/oauth/*/token", "html", status=502), id="html"),
        pytest.param(Fault("/oauth/*/token", "html", status=200), id="html with 200"),
        pytest.param(Fault("/oauth/*/token", "garbage"), id="garbage"),
        pytest.param(Fault("/oauth/*/token", "status", status=200, body='{"error":"x"}'), id="200"),
        pytest.param(
            Fault("/oauth/*/token", "status", status=200, body='{"a":"' + "x" * 5_000_000 + '"}'),
            id="5 MB",
        ),
    ],
)
async def test_an_unwell_token_endpoint_fails_no_call_while_the_token_lives(
    broker, hubspot, database, fault
):
    """R7, R8."""
    await broker.connects("u1")
    await database.execute("UPDATE renewal SET due_at = now()")
    hubspot.faults.add(fault)

    await broker.parts.grants.renew_due(10)
    during = await broker.proxies(CALL)
    hubspot.faults.clear()
    await database.execute("UPDATE renewal SET due_at = now()")
    await broker.parts.grants.renew_due(10)

    assert during.status == 200
    shown = (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).json()
    assert (shown["status"], shown["lastError"]) == ("ACTIVE", None)
    assert (await database.fetchval("SELECT generation FROM connection_grant")) == 2


async def test_a_token_endpoint_that_asks_to_be_left_alone_is(broker, hubspot, database):
    """R8: its Retry-After is kept, as far as it can be believed."""
    await broker.connects("u1")
    for retry_after, least, most in (("50", 49, 51), ("86400", 55, 61), ("soon", 0, 3)):
        await database.execute("UPDATE renewal SET due_at = now()")
        await database.execute("UPDATE connection_grant SET failures = 0")
        headers = {"Retry-After": retry_after}
        fault = hubspot.faults.add(Fault("/oauth/*/token", "status", status=429, headers=headers))

        await broker.parts.grants.renew_due(10)

        assert fault.hits == 1
        left = await database.fetchval("SELECT due_at - now() FROM renewal")
        assert least <= left.total_seconds() <= most
        hubspot.faults.clear()


async def test_a_renewal_whose_connection_breaks_once_is_made_again_and_nobody_notices(
    broker, hubspot, database
):
    """R8."""
    await broker.connects("u1")
    await broker.makes_stale(database)
    hubspot.faults.add(Fault("/oauth/*/token", "lose-answer", times=1))

    assert (await broker.proxies()).status == 200
    assert hubspot.refreshes == 2


async def test_a_dead_token_with_an_unwell_endpoint_is_hubspots_fault_and_heals(
    broker, hubspot, database
):
    await broker.connects("u1")
    await broker.makes_stale(database)
    hubspot.faults.add(Fault("/oauth/*/token", "status", status=503))

    during = [await broker.proxies(CALL) for _ in range(10)]
    hubspot.faults.clear()
    await database.execute("UPDATE connection_grant SET failed_at = now() - interval '5 seconds'")
    after = await broker.proxies(CALL)

    assert {answer.status for answer in during} == {502}
    assert {answer.code for answer in during} == {"hubspot-unavailable"}
    assert after.status == 200
    assert hubspot.refreshes <= 3


async def test_a_wrong_client_secret_is_the_apps_fault_and_heals_with_it(broker, hubspot, database):
    """R15."""
    await broker.connects("u1")
    await broker.makes_stale(database)
    hubspot.apps["client-of-hbdev"].client_secret = "canary-rotated"

    during = await broker.proxies(CALL)
    flagged = (await broker.asks("GET", "/api/apps/hbdev")).json()["credentialsRefusedAt"]
    status = (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).json()["status"]
    await broker.asks("PATCH", "/api/apps/hbdev", json={"clientSecret": "canary-rotated"})
    await database.execute("UPDATE connection_grant SET failed_at = now() - interval '5 seconds'")
    after = await broker.proxies(CALL)

    assert during.status == 502
    assert flagged is not None
    assert status == "ACTIVE"
    assert after.status == 200
    assert (await broker.asks("GET", "/api/apps/hbdev")).json()["credentialsRefusedAt"] is None


async def test_a_token_that_hubspot_drops_early_is_renewed_and_the_call_repeated(broker, hubspot):
    await broker.connects("u1")
    hubspot.expire_access_tokens()

    answer = await broker.proxies(CALL, method="POST", data=b"once more")

    assert answer.status == 200
    assert answer.json()["bodyLength"] == 9
    assert hubspot.refreshes == 1


async def test_a_second_refusal_is_the_answer(broker, hubspot):
    """R11."""
    await broker.connects("u1")
    hubspot.token_lifetime = 0
    body = '{"category":"EXPIRED_AUTHENTICATION"}'
    hubspot.faults.add(Fault("/_echo/*", "status", status=401, body=body))

    answer = await broker.proxies(CALL)

    assert answer.status == 401
    assert answer.json()["category"] == "EXPIRED_AUTHENTICATION"
    assert "Broker-Error" not in answer.headers
    assert hubspot.refreshes == 1


@pytest.mark.parametrize(
    ("status", "category"),
    [(401, "INVALID_AUTHENTICATION"), (403, "MISSING_SCOPES"), (403, "EXPIRED_AUTHENTICATION")],
)
async def test_other_refusals_renew_nothing(broker, hubspot, status, category):
    """R12."""
    await broker.connects("u1")
    body = f'{{"category":"{category}"}}'
    hubspot.faults.add(Fault("/_echo/*", "status", status=status, body=body))

    answer = await broker.proxies(CALL)

    assert answer.status == status
    assert hubspot.refreshes == 0


async def test_a_body_too_large_to_keep_is_not_sent_twice_but_its_token_is_renewed(broker, hubspot):
    """R13, F6: the refusal is the caller's, and the next call works."""
    await broker.connects("u1")
    hubspot.expire_access_tokens()

    refused = await broker.proxies(CALL, method="POST", data=b"x" * 1_000_000)
    after = await broker.proxies(CALL, method="POST", data=b"x" * 1_000_000)

    assert (refused.status, after.status) == (401, 200)
    assert hubspot.refreshes == 1
    assert sum(seen.raw_path == CALL for seen in hubspot.seen) == 2


@pytest.fixture
async def replicas(broker, second_broker, start_broker):
    third = await start_broker()
    third.workspace, third.key, third.client_id = broker.workspace, broker.key, broker.client_id
    return [broker, second_broker, third]


async def test_a_token_that_ends_early_twice_reaches_no_caller_of_any_replica(replicas, hubspot):
    """Within the five seconds for which a replica remembers a connection, so that it meets the
    second end with a memory older than the first renewal.
    """
    first, second, third = replicas
    await first.connects("u1")
    for each in replicas:
        assert (await each.proxies(CALL)).status == 200

    hubspot.expire_access_tokens()
    assert (await first.proxies(CALL)).status == 200
    hubspot.expire_access_tokens()
    answers = await asyncio.gather(
        *(each.proxies(CALL) for each in (second, third, second, third, first))
    )
    later = [await each.proxies(CALL) for each in replicas]

    assert {answer.status for answer in answers + later} == {200}
    assert hubspot.refreshes == 2


async def test_a_token_that_ends_at_every_call_costs_each_call_one_renewal(replicas, hubspot):
    hubspot.rotates_refresh_tokens = True
    await replicas[0].connects("u1")
    for turn in range(6):
        hubspot.expire_access_tokens()
        assert (await replicas[turn % 3].proxies(CALL, method="POST", data=b"{}")).status == 200

    assert hubspot.refreshes == 6


async def test_a_token_that_ran_out_is_not_sent(broker, hubspot, database):
    """R13: a body that cannot be kept needs a token that works at once."""
    await broker.connects("u1")
    await broker.proxies(CALL)  # from now on there are places of the quota at hand
    await broker.makes_stale(database)

    answer = await broker.proxies(CALL, method="POST", data=b"x" * 1_000_000)

    assert (answer.status, hubspot.refreshes) == (200, 1)


@pytest.mark.parametrize("rotates", [True, False])
async def test_the_refresh_token_that_hubspot_wants_next_is_the_one_kept(
    broker, hubspot, database, rotates
):
    hubspot.rotates_refresh_tokens = rotates
    await broker.connects("u1")

    for _ in range(3):
        await broker.makes_stale(database)
        assert (await broker.proxies(CALL)).status == 200

    assert hubspot.refreshes == 3


async def test_grants_are_renewed_before_a_caller_has_to_wait(broker, hubspot, database):
    await broker.connects("u1")
    await broker.connects("u2")
    await database.execute("UPDATE renewal SET due_at = now() - interval '1 second'")
    versions = await database.fetch("SELECT ctid, xmin FROM connection ORDER BY id")

    first = await broker.parts.grants.renew_due(10)
    second = await broker.parts.grants.renew_due(10)

    assert (first, second) == (2, 0)
    assert hubspot.refreshes == 2
    assert (await broker.proxies(CALL)).status == 200
    assert hubspot.refreshes == 2
    assert await database.fetch("SELECT ctid, xmin FROM connection ORDER BY id") == versions


async def test_what_a_renewal_writes_beside_the_tokens_is_in_no_index(database):
    """But for the fingerprint, which differs only where a provider rotates."""
    indexed = await database.fetch(
        "SELECT DISTINCT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid"
        " AND attnum = ANY (indkey) WHERE indrelid = 'connection_grant'::regclass"
    )

    assert {row["attname"] for row in indexed} == {
        "workspace_id",
        "connection_id",
        "refresh_fingerprint",
    }


async def test_a_connection_that_nobody_uses_is_renewed_when_it_is_called(
    start_broker, hubspot, database
):
    broker = await start_broker(renew_ahead_days=2)
    await broker.makes_workspace()
    await broker.registers()
    for user in ("used", "idle", "ending", "new"):
        await broker.connects(user)
    await database.execute("UPDATE renewal SET due_at = now() - interval '1 second'")
    await database.execute(
        "UPDATE connection SET created_at = now() - interval '9 days' WHERE user_ref <> 'new'"
    )
    change = (
        "UPDATE connection_grant SET {} FROM connection WHERE id = connection_id "
        "AND connection.workspace_id = connection_grant.workspace_id AND user_ref {}"
    )
    for changed, users in (
        ("last_used_at = now() - interval '3 days'", "<> 'new'"),
        ("last_used_at = now() - interval '1 day'", "= 'used'"),
        ("refresh_expires_at = now() + interval '7 days'", "= 'ending'"),
        ("renewed_at = now() - interval '5 days'", "= 'ending'"),
    ):
        await database.execute(change.format(changed, users))

    taken = await broker.parts.grants.renew_due(10)

    assert taken == 4
    stored = f"SELECT * FROM connection JOIN ({GRANTS}) AS stored USING (workspace_id)"
    stored += " WHERE connection_id = id"
    rows = await database.fetch(stored)
    found = {row["user_ref"]: row for row in rows}
    assert {user for user, row in found.items() if row["generation"] == 2} == {
        "used",
        "ending",
        "new",
    }
    assert found["idle"]["due_at"] is None
    await broker.makes_stale(database)
    assert (await broker.proxies(CALL, user="idle")).status == 200
    row = await database.fetchrow(f"{stored} AND user_ref = 'idle'")
    assert (row["generation"], row["due_at"] > row["renewed_at"]) == (2, True)


async def test_a_grant_that_its_provider_ends_unused_is_kept_alive_without_use(
    start_broker, hubspot, database
):
    broker = await start_broker(renew_ahead_days=2)
    await broker.makes_workspace()
    await broker.registers()
    await broker.connects("u1")
    await database.execute("UPDATE connection SET created_at = now() - interval '90 days'")
    await database.execute("UPDATE renewal SET due_at = now()")
    await database.execute(
        "UPDATE connection_grant SET renewed_at = now() - interval '5 days',"
        " refresh_expires_at = now() + interval '95 days'"
    )

    assert await broker.parts.grants.renew_due(10) == 1
    due_in = await database.fetchval("SELECT due_at - now() FROM renewal")
    assert due_in.days == 34  # at two fifths of the hundred days since it was renewed
    assert hubspot.refreshes == 0
    assert await broker.parts.grants.renew_due(10) == 0


async def test_renewals_made_together_come_due_apart(broker, database):
    """R16."""
    for user in range(8):
        await broker.connects(f"u{user}")

    rows = await database.fetch(
        f"SELECT extract(epoch FROM due_at - renewed_at) AS after FROM ({GRANTS}) AS stored"
    )

    afters = [float(row["after"]) for row in rows]
    assert all(1800 * 0.75 <= after <= 1800 * 0.85 for after in afters)
    assert max(afters) - min(afters) > 1


async def test_one_caller_giving_up_does_not_fail_the_others(broker, hubspot, database):
    await broker.connects("u1")
    await broker.makes_stale(database)
    hubspot.faults.add(Fault("/oauth/*/token", "delay", seconds=0.3))

    # By POST, which no client repeats behind our back.
    waiting = [asyncio.create_task(broker.proxies(CALL, method="POST")) for _ in range(5)]
    await asyncio.sleep(0.1)
    waiting[0].cancel()

    answers = await asyncio.gather(*waiting[1:])
    assert {answer.status for answer in answers} == {200}
    assert hubspot.refreshes == 1


async def test_a_delete_during_a_renewal_wins(broker, hubspot, database):
    """R14."""
    hubspot.rotates_refresh_tokens = True
    await broker.connects("u1")
    await broker.makes_stale(database)
    hubspot.faults.add(Fault("/oauth/*/token", "delay", seconds=0.3))

    calling = asyncio.create_task(broker.proxies(CALL))
    await asyncio.sleep(0.1)
    deleted = await broker.asks("DELETE", "/api/apps/hbdev/connections/u1")
    await calling

    assert deleted.status == 200
    assert (await broker.proxies(CALL)).status == 404
    alive = [token for token in hubspot.grants.refresh_tokens.values() if token.alive]
    assert alive == []


async def test_a_frozen_holder_loses_its_row(broker, database):
    """R4."""
    await broker.connects("u1")
    row = await database.fetchrow("SELECT workspace_id, id FROM connection")

    async with broker.parts.connections.lock(row["workspace_id"], row["id"]) as locked:
        limit = await locked.session.fetchval("SHOW idle_in_transaction_session_timeout")

    assert limit == "15s"


async def test_tokens_survive_the_loss_of_their_transaction(broker, hubspot, database):
    """F2: the session is cut after HubSpot answered and before the commit."""
    hubspot.rotates_refresh_tokens = True
    await broker.connects("u1")
    await broker.makes_stale(database)
    hubspot.faults.add(Fault("/oauth/*/token", "delay", seconds=0.4))

    calling = asyncio.create_task(broker.proxies(CALL))
    await asyncio.sleep(0.2)
    cut = await database.fetchval(
        """
        SELECT count(pg_terminate_backend(pid))
          FROM pg_stat_activity
         WHERE state = 'idle in transaction' AND datname = current_database()
        """
    )
    answer = await calling

    assert cut == 1
    assert answer.status == 200
    assert hubspot.refreshes == 1
    await broker.makes_stale(database)
    assert (await broker.proxies(CALL)).status == 200


async def test_a_lost_answer_is_asked_for_again_at_once_and_then_once_at_each_later_renewal(
    broker, hubspot, database
):
    """However often they are lost: each request is the same token presented once more."""
    await broker.connects("u1")
    await broker.makes_stale(database)
    hubspot.faults.add(Fault("/oauth/*/token", "lose-answer"))
    presented = []
    for _ in range(3):
        hubspot.seen.clear()
        assert (await broker.proxies(CALL)).status == 502
        presented.append(sum("token" in each.raw_path for each in hubspot.seen))
        await database.execute(
            "UPDATE connection_grant SET failed_at = now() - interval '9 seconds'"
        )
    hubspot.faults.clear()

    assert presented == [2, 1, 1]
    assert (await broker.proxies(CALL)).status == 200


@pytest.mark.parametrize("times", [1, 2])
async def test_a_rotation_whose_answer_was_lost_is_told_as_such(broker, hubspot, database, times):
    """R3. Lost once it is known at once, for the renewal is made again; lost twice, later."""
    hubspot.rotates_refresh_tokens = True
    await broker.connects("u1")
    await broker.makes_stale(database)
    hubspot.faults.add(Fault("/oauth/*/token", "lose-answer", times=times))

    lost = await broker.proxies(CALL)
    await database.execute("UPDATE connection_grant SET failed_at = now() - interval '5 seconds'")
    final = await broker.proxies(CALL)

    assert lost.status == {1: 409, 2: 502}[times]
    assert final.code == "reauth-required"
    shown = (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).json()
    assert shown["lastError"] == "rotation-lost"
