"""Following the secret: what is stored, and under which key."""

import asyncio
import base64
import json
from urllib.parse import parse_qs, quote
from uuid import UUID

import pytest

from broker.bootstrap.assembly import open_broker
from broker.sealing import Keyring, Sealer, key_of
from broker.stores.core.seals import COLUMNS, Seals, WrongSealingKey

OLD = "k1:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="
NEW = "k2:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
RETURN_URL = "https://product.example/settings?tab=integrations"


def spellings(secret):
    raw = secret.encode()
    return {
        secret,
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        raw.hex(),
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
    }


async def dump(database):
    """Every column of every row, as text."""
    tables = await database.fetch(
        "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'"
    )
    rows = [
        row["line"]
        for table in tables
        for row in await database.fetch(f"SELECT t::text AS line FROM {table['name']} AS t")
    ]
    return "\n".join(rows)


async def test_no_secret_can_be_read_in_the_database(broker, hubspot, database):
    """T1, T7, U7, C10."""
    await broker.connects("u1")
    await broker.links("u2")
    await broker.makes_stale(database)
    await broker.proxies()
    issued = (
        await broker.asks(
            "POST",
            "/oauth/token",
            key="",
            data={
                "grant_type": "client_credentials",
                "client_id": broker.client_id,
                "client_secret": broker.key,
            },
        )
    ).json()["access_token"]
    broker.secrets.append(issued)
    await broker.asks("PATCH", "/api/apps/hbdev", json={"confirm": "required"})
    _, _, fragment = (await broker.connects("u3", returnUrl=RETURN_URL)).location
    await broker.asks("DELETE", "/api/apps/hbdev/connections/u1")

    bodies = [parse_qs(seen.body.decode(errors="replace")) for seen in hubspot.seen]
    secrets = {
        *hubspot.grants.access_tokens,
        *hubspot.grants.refresh_tokens,
        *broker.secrets,
        "canary-client-secret",
        fragment["confirm"],
        *(
            found[0]
            for body in bodies
            for name in ("code", "code_verifier")
            if (found := body.get(name))
        ),
    }
    stored = await dump(database)

    assert len(secrets) >= 12
    assert len(stored) > 1000
    found = [
        secret[:10] for secret in secrets for spelled in spellings(secret) if spelled in stored
    ]
    assert found == []


async def test_a_sealed_value_on_another_row_opens_for_nobody(broker, database):
    """T2."""
    await broker.connects("u1")
    await broker.connects("u2")
    grant_of = (
        "connection_grant.workspace_id = $1 AND connection_id = (SELECT id FROM connection"
        " WHERE workspace_id = $1 AND user_ref = $2)"
    )
    token = await database.fetchval(
        f"SELECT access_token FROM connection_grant WHERE {grant_of}", broker.workspace, "u1"
    )
    await database.execute(
        f"UPDATE connection_grant SET access_token = $3 WHERE {grant_of}",
        broker.workspace,
        "u2",
        token,
    )
    broker.parts.proxy.clear_cache()

    answer = await broker.proxies(user="u2")

    assert (answer.status, answer.code) == (500, "internal")
    assert (await broker.proxies(user="u1")).status == 200


async def keys_in_use(database):
    rows = await database.fetch(
        """
        SELECT access_token AS sealed FROM connection_grant UNION ALL
        SELECT refresh_token FROM connection_grant UNION ALL
        SELECT client_secret FROM app UNION ALL
        SELECT verifier FROM install_link
        """
    )
    return {key_of(row["sealed"]) for row in rows if row["sealed"]}


async def test_resealing_under_load_fails_no_call_and_leaves_nothing_behind(
    broker, start_broker, dsn, database
):
    """T4."""
    for user in range(5):
        await broker.connects(f"u{user}")
    rotated = await start_broker(keys=f"{NEW},{OLD}")
    rotated.key, seals = broker.key, rotated.parts.seals

    async def calls():
        answers = []
        for turn in range(40):
            rotated.parts.proxy.clear_cache()
            answers.append((await rotated.proxies(user=f"u{turn % 5}")).status)
        return answers

    calling = asyncio.create_task(calls())
    interrupted = asyncio.create_task(seals.reseal())
    await asyncio.sleep(0.01)
    interrupted.cancel()
    await asyncio.gather(interrupted, return_exceptions=True)
    await seals.reseal()

    assert set(await calling) == {200}
    assert await keys_in_use(database) == {"k2"}
    assert [row["key_id"] for row in await database.fetch("SELECT key_id FROM sealing_key")] == [
        "k2"
    ]
    async with open_broker(broker.parts.settings, dsn, Keyring.parse(NEW)) as later:
        connection = await later.connections.of_user(UUID(broker.workspace), "hbdev", "u1")
    assert connection.grant is not None


async def test_a_vendors_secrets_and_tokens_move_under_a_new_key_too(kyb, dsn, database):
    await kyb.kicks_off(kyb.company())

    await Seals(kyb.broker.parts.database, Sealer(Keyring.parse(f"{NEW},{OLD}"))).reseal()

    rows = await database.fetch(
        "SELECT secrets AS sealed FROM recipe_setting UNION ALL SELECT access_token FROM vendor_client"
    )
    assert [key_of(row["sealed"]) for row in rows] == ["k2", "k2"]
    async with open_broker(kyb.broker.parts.settings, dsn, Keyring.parse(NEW)) as later:
        setting = await later.recipes.built["kyb"].setup.of_app(
            UUID(kyb.broker.workspace), await database.fetchval("SELECT id FROM app")
        )
    assert setting.secrets["clientSecret"].reveal() == "sk_live_canary_of_fml"


@pytest.mark.parametrize("keys", [NEW, "k1" + NEW[2:]])
async def test_a_key_that_does_not_open_what_is_here_refuses_to_start(broker, dsn, keys):
    """T5."""
    with pytest.raises(WrongSealingKey) as refusal:
        async with open_broker(broker.parts.settings, dsn, Keyring.parse(keys)):
            pass

    assert keys.partition(":")[2] not in str(refusal.value)


BOTH = f"{OLD},{NEW}"


@pytest.fixture
async def replica(broker, start_broker):
    """Another process of the installation, with sealing keys of its own."""

    async def start(keys):
        other = await start_broker(keys=keys, public_url=broker.url)
        other.workspace, other.key = broker.workspace, broker.key
        return other

    return start


async def connect(replica, broker, user):
    """A user's way to a grant, of which this replica handles the callback."""
    back = await replica.consents(await replica.links(user))
    answer = await replica.asks("GET", back.replace(broker.url, replica.url), key="")
    assert answer.status in {200, 303}, answer.body


async def test_a_key_is_rotated_while_two_replicas_serve(broker, replica):
    """The new key last on every replica, then first, then `reseal`, then the old one away."""

    async def serves(other, user):
        answer = await other.asks("GET", f"/proxy/hbdev/{user}/_echo/x")
        ready = await other.asks("GET", "/readyz", key="")
        return answer.status, ready.status

    await broker.connects("u1")
    steps = [(BOTH, OLD), (BOTH, BOTH), (f"{NEW},{OLD}", BOTH), (f"{NEW},{OLD}", f"{NEW},{OLD}")]
    for number, (first, second) in enumerate(steps, start=2):
        one, other = await replica(first), await replica(second)
        await connect(one, broker, f"u{number}")
        for user in ("u1", f"u{number}"):
            assert [await serves(each, user) for each in (one, other)] == [(200, 200)] * 2
    await Seals(broker.parts.database, Sealer(Keyring.parse(f"{NEW},{OLD}"))).reseal()
    assert await serves(await replica(NEW), "u1") == (200, 200)


async def test_a_replica_that_lacks_the_newest_key_says_so_and_serves_the_rest(
    broker, replica, no_secret_in_the_logs
):
    """The new key first on one replica, too early."""
    await broker.connects("u1")
    await connect(await replica(f"{NEW},{OLD}"), broker, "u2")

    missing = await broker.asks("GET", "/proxy/hbdev/u2/_echo/x")
    assert (missing.status, missing.code) == (503, "busy")
    assert missing.headers["Retry-After"]
    assert (await broker.asks("GET", "/proxy/hbdev/u1/_echo/x")).status == 200
    assert (await broker.asks("GET", "/readyz", key="")).status == 200
    lines = [json.loads(line) for line in no_secret_in_the_logs.getvalue().splitlines()]
    reported = [line for line in lines if line["event"] == "sealing_key_missing"]
    assert [(line["key"], line["level"]) for line in reported] == [("k2", "error")]


@pytest.mark.parametrize("writes", [1, 9])
async def test_a_key_is_not_forgotten_while_another_process_seals_with_it(
    broker, replica, database, writes
):
    """2.17: a write that lands behind the pass is found; a process that goes on writing is told."""
    writer, left = await replica(BOTH), list(range(writes))

    class OvertakenSeals(Seals):
        async def reseal_column(self, sealed):
            done = await super().reseal_column(sealed)
            if sealed is COLUMNS[-1] and left:
                secret = {"clientSecret": f"canary-{left.pop()}"}
                assert (await writer.asks("PATCH", "/api/apps/hbdev", json=secret)).status == 200
            return done

    seals = OvertakenSeals(broker.parts.database, Sealer(Keyring.parse(f"{NEW},{OLD}")))
    await seals.check()
    await seals.reseal()

    known = {row["key_id"] for row in await database.fetch("SELECT key_id FROM sealing_key")}
    used = await keys_in_use(database)
    assert known == ({"k2"} if writes == 1 else {"k1", "k2"})
    assert used == ({"k2"} if writes == 1 else {"k1"})
