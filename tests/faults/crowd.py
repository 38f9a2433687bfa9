"""Many connections at once, with grants that HubSpot really gave."""

import os
import uuid
from datetime import timedelta

from broker.domain.grants import Tokens
from broker.domain.model import Secret
from broker.sealing import Keyring, Sealer
from broker.stores.connections.locked_connection import seal_tokens
from tests.fixtures.broker_client import CLIENT_ID
from tests.fixtures.brokers import SEALING_KEY


async def crowd(broker, hubspot, database, count, *, due, expires, revoked=0):
    """`count` active connections `c0`, `c1`, ...; the first `revoked` ones are over at HubSpot.

    `due` and `expires` are seconds from now.
    """
    app = await database.fetchrow("SELECT workspace_id, id, scopes FROM app")
    now = await database.fetchval("SELECT now()")
    rows, grants, renewals = [], [], []
    for number in range(count):
        refresh = hubspot.grants.issue_refresh(CLIENT_ID, 101, "ada@acme.example", app["scopes"])
        refresh.alive = number >= revoked
        access = hubspot.grants.issue_access(refresh, hubspot.now() + expires)
        access.alive = number >= revoked
        row = uuid.uuid4()
        tokens = Tokens(Secret(access.token), Secret(refresh.token), expires)
        sealed = seal_tokens(
            Sealer(Keyring.parse(SEALING_KEY)),
            tokens,
            app["workspace_id"],
            f"connection/{row}",
        )
        key = app["workspace_id"], row
        rows.append((*key, app["id"], f"c{number}", "ACTIVE", 101, app["scopes"]))
        grants.append((*key, *sealed, 1, now + timedelta(seconds=expires)))
        renewals.append((*key, now + timedelta(seconds=due)))
    tables = {
        "connection": (rows, "id app_id user_ref status hub_id scopes"),
        "connection_grant": (
            grants,
            "connection_id access_token refresh_token refresh_fingerprint generation expires_at",
        ),
        "renewal": (renewals, "connection_id due_at"),
    }
    for table, (records, columns) in tables.items():
        names = ["workspace_id", *columns.split()]
        await database.copy_records_to_table(table, records=records, columns=names)
        await database.execute(f"ANALYZE {table}")


def size(small, large):
    """How large a run is: `large` when FAULT_RUNS asks for whole evidence."""
    return large if int(os.environ.get("FAULT_RUNS", "0")) >= 200 else small
