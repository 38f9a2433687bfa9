"""The mutations of the Admin API: webhook subscriptions, and the app's own end."""

from typing import Any
from urllib.parse import urlsplit

from broker.sandbox.shopify.admin.access import Call
from broker.sandbox.shopify.admin.nodes import gid, number_of, subscription_node
from broker.sandbox.shopify.webhooks import LOCAL, Subscription

# The scope that a topic's records need.
NEEDS = {"ORDERS": "read_orders", "REFUNDS": "read_orders", "CUSTOMERS": "read_customers"}
INPUT = "webhookSubscription"


class Mutations:
    """`Mutation` for one call."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def root(self) -> dict[str, Any]:
        """The fields by their names."""
        return {
            "webhookSubscriptionCreate": self.create,
            "webhookSubscriptionUpdate": self.update,
            "webhookSubscriptionDelete": self.delete,
            "appUninstall": self.uninstall,
        }

    def create(self, _info: Any, topic: str, webhookSubscription: dict[str, Any]) -> Any:  # noqa: N803
        """Subscribe to a topic."""
        call, fields = self._call, webhookSubscription
        scope = NEEDS.get(topic.partition("_")[0])
        granted = call.access.scopes
        if scope is not None and not {scope, scope.replace("read_", "write_")} & set(granted):
            message = "You cannot create a webhook subscription with the specified topic"
            return _refused(["topic"], message)
        name, uri = _address(fields)
        problem = self._problem(uri)
        if problem is None and self._taken(topic, uri, None):
            problem = "Address for this topic has already been taken"
        if problem is not None:
            return _refused([INPUT, name], problem)
        made = call.world.webhooks.subscribe(
            call.app,
            call.shop,
            topic,
            uri,
            api_version=call.version,
            format=fields.get("format") or "JSON",
            name=fields.get("name"),
            filter=fields.get("filter"),
            include_fields=tuple(fields.get("includeFields") or ()),
        )
        return {"webhookSubscription": subscription_node(call, made), "userErrors": []}

    def update(self, _info: Any, id: str, webhookSubscription: dict[str, Any]) -> Any:  # noqa: A002, N803
        """Change a subscription."""
        found = self._find(id)
        if found is None:
            return _refused(["id"], "Webhook subscription does not exist")
        name, uri = _address(webhookSubscription)
        if uri:
            problem = self._problem(uri)
            if problem is None and self._taken(found.topic, uri, found):
                problem = "Address for this topic has already been taken"
            if problem is not None:
                return _refused([INPUT, name], problem)
            found.uri = uri
        if "includeFields" in webhookSubscription:
            found.include_fields = tuple(webhookSubscription["includeFields"] or ())
        found.updated_at = self._call.world.now()
        return {"webhookSubscription": subscription_node(self._call, found), "userErrors": []}

    def delete(self, _info: Any, id: str) -> dict[str, Any]:  # noqa: A002
        """End a subscription."""
        found = self._find(id)
        if found is None:
            problem = {"field": ["id"], "message": "Webhook subscription does not exist"}
            return {"deletedWebhookSubscriptionId": None, "userErrors": [problem]}
        self._call.world.webhooks.delete(found)
        ended = gid("WebhookSubscription", found.id)
        return {"deletedWebhookSubscriptionId": ended, "userErrors": []}

    def uninstall(self, _info: Any) -> dict[str, Any]:
        """Remove the calling app from the shop."""
        call = self._call
        call.world.uninstall(call.app, call.shop)
        shown = {
            "id": gid("App", call.shop.id),
            "apiKey": call.app.client_id,
            "title": call.app.name,
        }
        return {"app": shown, "userErrors": []}

    def _find(self, text: str) -> Subscription | None:
        number = number_of(text, "WebhookSubscription")
        subscriptions = self._call.world.webhooks.of(self._call.app, self._call.shop)
        return next((each for each in subscriptions if each.id == number), None)

    def _taken(self, topic: str, uri: str, but: Subscription | None) -> bool:
        subscriptions = self._call.world.webhooks.of(self._call.app, self._call.shop)
        return any(
            each is not but and (each.topic, each.uri) == (topic, uri) for each in subscriptions
        )

    def _problem(self, uri: str) -> str | None:
        parts = urlsplit(uri)
        if not parts.hostname:
            return "Address is invalid"
        local = self._call.world.webhooks.ways.local_http and parts.hostname in LOCAL
        if parts.scheme != "https" and not local:
            return f"Address protocol {parts.scheme}:// is not supported"
        return None


def _address(fields: dict[str, Any]) -> tuple[str, str]:
    """The input field that holds the address, and the address."""
    name = "uri" if fields.get("uri") else "callbackUrl"
    return (name, str(fields[name])) if fields.get(name) else ("uri", "")


def _refused(path: list[str], message: str) -> dict[str, Any]:
    return {INPUT: None, "userErrors": [{"field": path, "message": message}]}
