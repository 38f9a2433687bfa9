"""Webhooks of a site. WooCommerce disables one after more than five failures in a row.

Source: class-wc-webhook.php and
https://woocommerce.github.io/woocommerce-rest-api-docs/#webhooks.
"""

import re
from typing import Any

from broker.providers.subscriptions import (
    AccountCalls,
    Subscriptions,
    SubscriptionsRefused,
    Wanted,
)

TARGET = "/wp-json/wc/v3/webhooks"
PAGE = 100


class WooCommerceSubscriptions(Subscriptions):
    """One webhook for each topic and address."""

    topic = re.compile(r"[a-z0-9_]{1,40}\.[a-z0-9_]{1,40}")

    async def restore(self, call: AccountCalls, wanted: Wanted) -> int:
        """Make missing webhooks, and activate those that were disabled. A paused one stays paused:
        a person paused it.
        """
        if wanted.secret is None:
            raise SubscriptionsRefused("The app has no webhookSecret to sign webhooks with.")
        present = await _present(call, wanted.url)
        restored = 0
        for topic in wanted.topics:
            found = present.get(topic)
            if found is None:
                body = {
                    "name": f"HubSpot broker: {topic}",
                    "topic": topic,
                    "delivery_url": wanted.url,
                    "secret": wanted.secret.reveal(),
                }
                await _ask(call, "POST", TARGET, body)
            elif found["status"] == "disabled":
                body = {"status": "active", "secret": wanted.secret.reveal()}
                await _ask(call, "PUT", f"{TARGET}/{int(found['id'])}", body)
            else:
                if wanted.rewrite:
                    body = {"secret": wanted.secret.reveal()}
                    await _ask(call, "PUT", f"{TARGET}/{int(found['id'])}", body)
                continue
            restored += 1
        return restored


async def _present(call: AccountCalls, url: str) -> dict[str, Any]:
    """The webhooks at an address, by topic."""
    found: dict[str, Any] = {}
    page = 1
    while True:
        webhooks = await _ask(call, "GET", f"{TARGET}?per_page={PAGE}&page={page}")
        found |= {each["topic"]: each for each in webhooks if each["delivery_url"] == url}
        if len(webhooks) < PAGE:
            return found
        page += 1


async def _ask(call: AccountCalls, method: str, target: str, body: Any = None) -> Any:
    status, payload = await call(method, target, body)
    if status >= 300:
        raise SubscriptionsRefused(f"The shop answered {status}: it needs a key that can write.")
    return payload
