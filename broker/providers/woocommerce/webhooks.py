"""WooCommerce's webhooks: signature, the ping, and events. No I/O.

Source: class-wc-webhook.php. The signature covers the body alone, so the site and the topic that
the headers name are as good as the secret: whoever has it can sign for any site. An event is a hint
to read the record.
"""

import re

from broker.domain.events import InboxBatch, ProviderEvent, WebhookSecrets
from broker.errors import InvalidRequest
from broker.providers.webhooks import (
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
from broker.providers.woocommerce.sites import account_of, read_site

SIGNATURE = "x-wc-webhook-signature"
SOURCE, TOPIC = "x-wc-webhook-source", "x-wc-webhook-topic"
DELIVERY = "x-wc-webhook-delivery-id"
MODIFIED = "date_modified_gmt"

TOPIC_WORDS = re.compile(r"[a-z0-9_]{1,40}\.[a-z0-9_]{1,40}")


class WooCommerceWebhooks(Webhooks):
    """Signed with the secret that stands in the webhook, which is the app's `webhookSecret`."""

    own_secret = True
    stored_headers = (SOURCE, TOPIC, DELIVERY)

    def is_ping(self, head: WebhookHead) -> bool:
        """A new webhook tries its address with an unsigned form, which must be answered 200."""
        kind = (head.value("content-type") or "").partition(";")[0].strip().lower()
        return kind == "application/x-www-form-urlencoded" and head.value(SIGNATURE) is None

    def verify(self, head: WebhookHead, secrets: WebhookSecrets, _now_ms: int) -> BodySignature:
        """base64(HMAC-SHA256) of the raw body."""
        return HmacSha256Signature(head.value(SIGNATURE), secrets.webhook_secrets)

    def check(self, body: bytes) -> None:
        """A record is an object."""
        if not isinstance(read_json(body), dict):
            raise InvalidRequest("A delivery is a JSON object.")

    def read(self, batch: InboxBatch) -> ReadEvents:
        """The one event of a delivery; none of a site or topic that the headers do not name."""
        record = read_json(batch.body)
        topic = batch.headers.get(TOPIC, "").lower()
        try:
            site = read_site(batch.headers.get(SOURCE, ""), allow_private=True)
        except InvalidRequest:
            return ReadEvents((), (record,))
        if not TOPIC_WORDS.fullmatch(topic):
            return ReadEvents((), (record,))
        account, delivery = account_of(site), batch.headers.get(DELIVERY)
        # Two records that are sent within one second share the delivery's id, so that it alone says
        # nothing; of a deletion there is nothing else.
        repeated = fingerprint(account, topic, record, None if MODIFIED in record else delivery)
        event = ProviderEvent(
            topic,
            account,
            moment(record.get(MODIFIED)),
            relayed(account, delivery, record),
            (repeated,),
        )
        return ReadEvents((event,))
