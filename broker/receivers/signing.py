"""How a delivery is signed: Standard Webhooks (https://www.standardwebhooks.com). No I/O."""

import base64
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

from broker.domain.model import Secret

SECRET_BYTES = 32


def new_secret() -> Secret:
    """A signing secret as receivers' libraries take it."""
    return Secret("whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode())


def signed_headers(
    keys: Sequence[Secret], message_id: str, payload: str, now: datetime
) -> dict[str, str]:
    """The three headers; while secrets overlap there is a signature of each."""
    now = now.astimezone(UTC)
    signatures = [Webhook(key.reveal()).sign(message_id, now, payload) for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
