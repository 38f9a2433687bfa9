"""What a provider granted is either stored or given back, whatever happens between."""

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest

from broker.sandbox.core.faults import Fault
from broker.services.grants import storing
from tests.fixtures.postgres import WAITING
from tests.until import until

JSON = {"Accept": "application/json"}


@asynccontextmanager
async def row_locked(dsn, broker, user):
    """A connection's row, held by another session."""
    session = await asyncpg.connect(dsn)
    connection_id = await session.fetchval("SELECT id FROM connection WHERE user_ref = $1", user)
    try:
        async with session.transaction():
            await session.execute(
                "SELECT FROM connection_grant WHERE workspace_id = $1 AND connection_id = $2"
                " FOR UPDATE",
                broker.workspace,
                connection_id,
            )
            yield
    finally:
        await session.close()


@pytest.fixture
async def hasty(monkeypatch, start_broker):
    """A broker whose statements wait for a third of a second at most."""
    monkeypatch.setattr("broker.stores.core.database.COMMAND_S", 0.3)
    broker = await start_broker()
    await broker.makes_workspace()
    assert (await broker.registers()).status == 201
    return broker


async def longer_than_a_statement_waits():
    await asyncio.sleep(0.7)


async def test_an_install_waits_for_a_row_that_is_locked_for_a_while(hasty, hubspot, dsn):
    """Review 3: the code is spent, so the link cannot be opened again."""
    await hasty.connects("u1")
    back = await hasty.consents(await hasty.links("u1"))

    async with row_locked(dsn, hasty, "u1"):
        finishing = asyncio.create_task(hasty.asks("GET", back, key="", headers=JSON))
        await until(lambda: hubspot.exchanges == 2)
        await longer_than_a_statement_waits()
    answer = await finishing

    assert answer.status == 200
    assert hubspot.revocations == []


async def test_a_grant_that_cannot_be_stored_is_revoked_and_the_user_told_to_start_again(
    hasty, hubspot, database, dsn, monkeypatch
):
    """Review 3."""
    monkeypatch.setattr(storing, "BACKOFF", storing.Backoff(first=0.01, attempts=2))
    broker = hasty
    await broker.connects("u1")
    back = await broker.consents(await broker.links("u1"))

    async with row_locked(dsn, hasty, "u1"):
        page = await broker.asks("GET", back, key="")
    again = await broker.asks("GET", back, key="", headers=JSON)

    assert page.status == 503
    assert page.headers["Broker-Error"] == "install-not-stored"
    assert b"start again" in page.body.lower()
    assert b"Open the same link" not in page.body
    assert again.code == "link-used"
    await broker.parts.revoker.revoke_due(10)
    assert hubspot.exchanges == 2
    assert len(hubspot.revocations) == 1
    assert await database.fetchval("SELECT generation FROM connection_grant") == 1


async def test_a_visit_while_the_database_is_away_gets_a_page_and_uses_nothing_up(
    broker, hubspot, database, operator
):
    """Review 15."""
    back = await broker.consents(await broker.links("u1"))
    name = await database.fetchval("SELECT current_database()")
    await operator.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    await operator.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
    )
    page = await broker.asks("GET", back, key="")
    await operator.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")

    assert (page.status, page.content_type) == (503, "text/html")
    assert hubspot.exchanges == 0
    assert (await broker.asks("GET", back, key="", headers=JSON)).status == 200


async def test_an_imported_grant_waits_for_a_row_that_is_locked_for_a_while(hasty, hubspot, dsn):
    broker = hasty
    await broker.connects("u1")
    token = next(iter(hubspot.grants.refresh_tokens))

    async with row_locked(dsn, hasty, "u1"):
        importing = asyncio.create_task(
            broker.asks(
                "POST", "/api/apps/hbdev/connections/u1/import", json={"refreshToken": token}
            )
        )
        await until(lambda: hubspot.refreshes == 1)
        await longer_than_a_statement_waits()

    assert (await importing).status == 200


@pytest.mark.parametrize("renewal", [False, True], ids=["exchange", "renewal"])
async def test_a_token_response_that_comes_compressed_is_read(broker, hubspot, database, renewal):
    """F12."""
    fault = Fault("/oauth/*/token", "gzip")
    if not renewal:
        hubspot.faults.add(fault)
    assert (await broker.connects("u1")).status == 200
    hubspot.faults.add(fault)
    await broker.makes_stale(database)

    assert (await broker.proxies("/_echo/x")).status == 200
    tokens = [seen for seen in hubspot.seen if seen.raw_path.endswith("/token")]
    assert {seen.headers["Accept-Encoding"] for seen in tokens} == {"identity"}
    assert all(seen.headers["User-Agent"] for seen in tokens)


async def test_a_wrong_client_secret_is_named_as_such(broker, hubspot):
    """UX F2."""
    hubspot.apps["client-of-hbdev"].client_secret = "canary-rotated"
    back = await broker.consents(await broker.links("u1"))

    page = await broker.asks("GET", back, key="")
    hubspot.apps["client-of-hbdev"].client_secret = "canary-client-secret"
    again = await broker.asks("GET", back, key="")

    assert (page.status, page.headers["Broker-Error"]) == (502, "credentials-refused")
    assert b"not your fault" in page.body
    assert (await broker.asks("GET", "/api/apps/hbdev")).json()["credentialsRefusedAt"]
    assert again.status == 200


async def test_a_confirmation_that_waits_for_its_connection_holds_nothing_else(broker, dsn):
    """Review 13: whoever has the connection's row, such as another install, takes the pending
    grant's next.
    """
    await broker.connects("u1", portal=101)
    pending = await broker.connects(
        "u1", portal=102, returnUrl="https://product.example/settings?tab=integrations"
    )
    code = pending.location[2]["confirm"]
    broker.secrets.append(code)
    session = await asyncpg.connect(dsn)
    async with session.transaction():
        of_workspace = "WHERE workspace_id = $1 FOR UPDATE"
        await session.execute(f"SELECT FROM connection_grant {of_workspace}", broker.workspace)
        confirming = asyncio.create_task(
            broker.asks(
                "POST",
                "/api/connections/confirm",
                json={"confirm": code, "userForeignIdentifier": "u1"},
            )
        )
        await until(lambda: session.fetchval(WAITING))
        await session.execute(f"SELECT FROM pending_grant {of_workspace} NOWAIT", broker.workspace)
    await session.close()

    assert (await confirming).status == 200
