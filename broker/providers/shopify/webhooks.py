"""Shopify's webhooks: one event in a request, named by headers, signed over the body. No I/O.

Sources: https://shopify.dev/docs/apps/build/webhooks (headers, duplicates, the five seconds that
Shopify waits) and .../privacy-law-compliance (the topics that every app of the App Store answers).
"""

import re
from collections.abc import Mapping
from typing import Any

from broker.domain.events import InboxBatch, ProviderEvent, WebhookSecrets
from broker.errors import InvalidRequest, NotAuthenticated
from broker.providers.shopify.oauth import shop_of
from broker.providers.webhooks import (
    WRONG,
    BodySignature,
    HmacSha256Signature,
    ReadEvents,
    WebhookHead,
    Webhooks,
    fingerprint,
    moment,
    read_json,
    relayed,
)

SIGNATURE = "x-shopify-hmac-sha256"
TOPIC = "x-shopify-topic"
DOMAIN = "x-shopify-shop-domain"
WEBHOOK_ID = "x-shopify-webhook-id"
TRIGGERED_AT = "x-shopify-triggered-at"

UNINSTALLED = "app/uninstalled"
PRIVACY = frozenset({"customers/data_request", "customers/redact", "shop/redact"})
"""What a merchant or the law asks of the app; the last one comes two days after an uninstall."""

_TOPIC = re.compile(r"[a-z][a-z0-9_]{0,60}/[a-z][a-z0-9_]{0,60}")
_ID = re.compile(r"[!-~]{1,100}")


class ShopifyWebhooks(Webhooks):
    """Deliveries signed with the client secret. Shopify waits five seconds."""

    max_bytes = 10 * 1_048_576
    stored_headers = (TOPIC, DOMAIN, WEBHOOK_ID, TRIGGERED_AT)

    def verify(self, head: WebhookHead, secrets: WebhookSecrets, now_ms: int) -> BodySignature:
        """The signature; a request without topic, shop and id is not Shopify's either."""
        del now_ms  # nothing in it is signed but the body
        if (
            not _TOPIC.fullmatch(head.value(TOPIC) or "")
            or shop_of(head.value(DOMAIN)) is None
            or not _ID.fullmatch(head.value(WEBHOOK_ID) or "")
        ):
            raise NotAuthenticated(WRONG)
        return HmacSha256Signature(head.value(SIGNATURE), secrets.secrets)

    def check(self, body: bytes) -> None:
        """Raise InvalidRequest for what is not a JSON object."""
        if not isinstance(read_json(body), dict):
            raise InvalidRequest("The body is not an event.")

    def read(self, batch: InboxBatch) -> ReadEvents:
        """The event.

        The headers are not signed. Where the body names the shop as well, it has to be the same;
        only such a body ends grants.
        """
        payload, headers = read_json(batch.body), batch.headers
        topic, shop = headers[TOPIC], shop_of(headers[DOMAIN]) or ""
        named = _shop_in(payload)
        if named is not None and named != shop:
            return ReadEvents([], [payload])
        webhook_id = headers[WEBHOOK_ID]
        event = ProviderEvent(
            topic=topic,
            account_id=shop,
            occurred_at=moment(headers.get(TRIGGERED_AT)),
            data=relayed(shop, webhook_id, payload),
            marks=(fingerprint(shop, webhook_id),),
            ends_grants=topic == UNINSTALLED and named == shop,
            for_app=topic in PRIVACY,
        )
        return ReadEvents([event])


def _shop_in(payload: Mapping[str, Any]) -> str | None:
    """The shop that a body names: events of the shop and the privacy topics do."""
    named = payload.get("myshopify_domain") or payload.get("shop_domain")
    return str(named).lower() if named is not None else None
