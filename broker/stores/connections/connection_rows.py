"""How rows of connections are read: the one place that opens an access token."""

import json
import math
import time
from typing import Any

from broker.domain.model import Connection, Grant, Status
from broker.sealing import Place, Sealer
from broker.stores.access.policies import read_policy


def read_connection(sealer: Sealer, row: Any) -> Connection:
    """A row of the hot read, or of a locked connection, as a Connection with its opened grant."""
    grant = None
    if row["access_token"] is not None:
        place = Place(row["workspace_id"], f"connection/{row['id']}", "access_token")
        now, left = time.monotonic(), row["expires_in"]
        expires_at = math.inf if left is None else now + left
        grant = Grant(
            sealer.open(row["access_token"], place),
            stale_at=expires_at - (row["margin"] or 0),
            expires_at=expires_at,
            generation=row["generation"],
            api_url=row["api_url"],
        )
    return Connection(
        id=row["id"],
        workspace_id=row["workspace_id"],
        app_id=row["app_id"],
        app_slug=row["slug"],
        provider=row["provider"],
        user_ref=row["user_ref"],
        status=Status(row["status"]),
        account_id=row["account_id"],
        hub_id=row["hub_id"],
        grant=grant,
        policy=read_policy(row["policy"]),
        scopes=tuple(row["scopes"]),
        api_url=row["api_url"],
        details=json.loads(row["details"]),
    )
