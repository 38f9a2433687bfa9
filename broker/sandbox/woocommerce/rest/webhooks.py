"""`/wc/v3/webhooks`. Making one sends a ping; whether that is answered changes nothing here."""

import secrets
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from broker.sandbox.woocommerce.rest.answers import RestError, invalid_id, missing_params
from broker.sandbox.woocommerce.rest.call import Call
from broker.sandbox.woocommerce.store.bodies import dates
from broker.sandbox.woocommerce.webhooks import Webhook, topic_is_valid

KIND = "shop_webhook"
STATUSES = ("active", "paused", "disabled")


async def index(call: Call) -> web.Response:
    """List webhooks, newest first."""
    status = call.params.choice("status", "all", ("all", *STATUSES))
    call.may("view", "Sorry, you cannot list resources.")
    every = reversed(call.world.webhooks.by_id.values())
    rows = [each for each in every if status in {"all", each.status}]
    return call.params.page(call.request, call.route, rows, lambda each: _body(call, each))


async def read(call: Call) -> web.Response:
    """Read one webhook."""
    call.may("view", "Sorry, you cannot view this resource.")
    return web.json_response(_body(call, _webhook(call, 404)))


async def create(call: Call) -> web.Response:
    """Make a webhook: topic, delivery_url, name, secret, status."""
    fields = await call.body()
    missing = [name for name in ("topic", "delivery_url") if name not in fields]
    if missing:
        raise missing_params(missing)
    call.may("create", "Sorry, you are not allowed to create resources.")
    topic, url = str(fields["topic"]).lower(), str(fields["delivery_url"])
    if not topic_is_valid(topic):
        raise _refused("topic", "Webhook topic is required and must be valid.")
    _check_url(url)
    now = call.world.now()
    webhook = Webhook(
        next(call.world.ids),
        str(fields.get("name") or f"Webhook created on {call.world.local(now)}"),
        topic,
        url,
        str(fields.get("secret") or secrets.token_urlsafe(37)),
        "active" if fields.get("status", "active") == "active" else "disabled",
        now,
        now,
    )
    call.world.webhooks.by_id[webhook.id] = webhook
    call.world.webhooks.pings.append(webhook)
    response = web.json_response(_body(call, webhook), status=201)
    response.headers["Location"] = call.address(f"/wc/v3/webhooks/{webhook.id}")
    return response


async def update(call: Call) -> web.Response:
    """Change a webhook; making it active again leaves its count of failures as it was."""
    call.may("edit", "Sorry, you are not allowed to edit this resource.")
    webhook, fields = _webhook(call, 400), await call.body()
    if fields.get("topic"):
        if not topic_is_valid(str(fields["topic"]).lower()):
            raise _refused("topic", "Webhook topic must be valid.")
        webhook.topic = str(fields["topic"]).lower()
    if fields.get("delivery_url"):
        _check_url(str(fields["delivery_url"]))
        webhook.delivery_url = str(fields["delivery_url"])
    if fields.get("status"):
        if fields["status"] not in STATUSES:
            raise _refused("status", "Webhook status must be valid.")
        webhook.status = fields["status"]
    webhook.secret = str(fields.get("secret") or webhook.secret)
    webhook.name = str(fields.get("name") or webhook.name)
    webhook.modified_at = call.world.now()
    return web.json_response(_body(call, webhook))


async def delete(call: Call) -> web.Response:
    """Delete a webhook; it has to be forced."""
    call.may("delete", "Sorry, you are not allowed to delete this resource.")
    if call.params.query.get("force", "").lower() not in {"true", "1"}:
        message = "Webhooks do not support trashing."
        raise RestError(501, "woocommerce_rest_trash_not_supported", message)
    webhook = _webhook(call, 404)
    del call.world.webhooks.by_id[webhook.id]
    return web.json_response(_body(call, webhook))


def _webhook(call: Call, status: int) -> Webhook:
    found = call.world.webhooks.by_id.get(call.number("id"))
    if found is None:
        raise invalid_id(KIND, status)
    return found


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = "Webhook delivery URL must be a valid URL starting with http:// or https://."
        raise _refused("delivery_url", message)


def _refused(what: str, message: str) -> RestError:
    return RestError(400, f"woocommerce_rest_{KIND}_invalid_{what}", message)


def _body(call: Call, webhook: Webhook) -> dict[str, Any]:
    """A webhook; its secret is never shown."""
    return {
        "id": webhook.id,
        "name": webhook.name,
        "status": webhook.status,
        "topic": webhook.topic,
        "resource": webhook.resource,
        "event": webhook.event,
        "hooks": [],
        "delivery_url": webhook.delivery_url,
        **dates(call.world, "created", webhook.created_at),
        **dates(call.world, "modified", webhook.modified_at),
    }
