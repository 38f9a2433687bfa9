"""Subscriptions that an app has in a shop. Shopify deletes one whose address failed eight times in
four hours, and says so to nobody.

Source: https://shopify.dev/docs/apps/build/webhooks/subscribe.
"""

import re
from typing import Any

from broker.providers.shopify.api import VERSION
from broker.providers.subscriptions import (
    AccountCalls,
    Subscriptions,
    SubscriptionsRefused,
    Wanted,
)

TARGET = f"/admin/api/{VERSION}/graphql.json"

FIND = """query($uri: String!) {
 webhookSubscriptions(first: 250, uri: $uri) { nodes { topic } } }"""

SUBSCRIBE = """mutation($topic: WebhookSubscriptionTopic!, $uri: String!) {
 webhookSubscriptionCreate(topic: $topic, webhookSubscription: {uri: $uri, format: JSON}) {
  webhookSubscription { id } userErrors { message } } }"""


class ShopifySubscriptions(Subscriptions):
    """One subscription for each topic and address."""

    topic = re.compile(r"[a-z][a-z0-9_]{0,60}/[a-z][a-z0-9_]{0,60}")

    async def restore(self, call: AccountCalls, wanted: Wanted) -> int:
        """Subscribe to the topics that have no subscription at the address."""
        found = await _data(call, FIND, uri=wanted.url)
        present = {each["topic"] for each in found["webhookSubscriptions"]["nodes"]}
        missing = [each for each in map(_enum, wanted.topics) if each not in present]
        for topic in missing:
            made = await _data(call, SUBSCRIBE, topic=topic, uri=wanted.url)
            errors = made["webhookSubscriptionCreate"]["userErrors"]
            if errors and "already been taken" not in errors[0]["message"]:
                raise SubscriptionsRefused(f"{topic}: {errors[0]['message']}"[:300])
        return len(missing)


async def _data(call: AccountCalls, query: str, **variables: str) -> Any:
    status, payload = await call("POST", TARGET, {"query": query, "variables": variables})
    if status >= 300 or not isinstance(payload, dict):
        raise SubscriptionsRefused(f"Shopify answered {status}.")
    if payload.get("errors") or not payload.get("data"):
        raise SubscriptionsRefused(f"Shopify refused: {str(payload.get('errors'))[:300]}")
    return payload["data"]


def _enum(topic: str) -> str:
    """A topic as GraphQL writes it: ORDERS_CREATE for orders/create."""
    return topic.replace("/", "_").upper()
