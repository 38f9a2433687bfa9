"""The backup of docs/deploy/README.md: made while the broker runs, and restored elsewhere."""

import asyncio
import os
import re
from base64 import b64encode
from pathlib import Path

import pytest

from broker.embedded.programs import installed
from broker.stores.core.seals import WrongSealingKey
from tests.fixtures.postgres import CITUS_DSN

PAGE = (Path(__file__).parents[3] / "docs/deploy/README.md").read_text()
OTHER_KEY = f"k1:{b64encode(os.urandom(32)).decode()}"


async def run_as_shown(program, dsn, dump):
    """Run a program of Postgres with the options that the page gives it."""
    options = re.search(rf"^{program} ([^#\n]*)", PAGE, re.MULTILINE)[1]
    words = [
        option.replace("broker.dump", str(dump))
        for option in options.split()
        if option.startswith("--") and not option.startswith("--dbname")
    ]
    last = [f"--dbname={dsn}", str(dump)] if program == "pg_restore" else [dsn]
    process = await asyncio.create_subprocess_exec(
        installed() / "pginstall18/bin" / program, *words, *last, stderr=asyncio.subprocess.PIPE
    )
    _, complaints = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, complaints.decode()


@pytest.mark.skipif(CITUS_DSN is not None, reason="restores into a Postgres without Citus")
async def test_a_restored_dump_serves_its_connections_with_the_same_keys_only(
    broker, hubspot, start_broker, dsn, empty_dsn, tmp_path
):
    await broker.connects("u1")
    await broker.connects("u2", portal=102)
    dump = tmp_path / "broker.dump"
    await run_as_shown("pg_dump", dsn, dump)
    await broker.asks("DELETE", "/api/apps/hbdev/connections/u2")

    await run_as_shown("pg_restore", empty_dsn, dump)
    with pytest.raises(WrongSealingKey):
        await start_broker(keys=OTHER_KEY, database_url=empty_dsn)
    restored = await start_broker(database_url=empty_dsn)
    restored.key = broker.key

    assert (await restored.proxies(user="u1")).status == 200
    renewed = await restored.asks("POST", "/api/apps/hbdev/connections/u1/renew")
    assert (renewed.status, renewed.json()["status"]) == (200, "ACTIVE")
    # Deleted since the dump, and revoked at HubSpot: back, until its next renewal finds out.
    await restored.asks("POST", "/api/apps/hbdev/connections/u2/renew")
    shown = await restored.asks("GET", "/api/apps/hbdev/connections/u2")
    assert shown.json()["status"] == "REAUTH_REQUIRED"
    tokens = [*hubspot.grants.refresh_tokens, *hubspot.grants.access_tokens]
    plain = tmp_path / "plain.sql"
    process = await asyncio.create_subprocess_exec(
        installed() / "pginstall18/bin/pg_restore", "--file", str(plain), str(dump)
    )
    assert await asyncio.wait_for(process.wait(), 60) == 0
    assert tokens
    assert [each for each in tokens if each in plain.read_text()] == []
