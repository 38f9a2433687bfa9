"""HubSpot calling a recipe: a custom workflow action, or a UI extension's `hubspot.fetch`
(https://developers.hubspot.com/docs/api-reference/latest/automation/workflow-actions,
https://developers.hubspot.com/docs/apps/developer-platform/add-features/ui-extensibility/fetching-data).

Which account a call acts for
-----------------------------
A workflow's action names it in its body, which HubSpot writes. A card's call, and a call of the
action "Send a webhook", has its account in the query, where HubSpot appends it to whatever the
caller wrote: so each of HubSpot's parameters must stand there exactly once, and `appId` must be the
app's. The rest of such a call is the caller's: it names the record and nothing else.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from aiohttp import web

from broker.crm.accounts import HubSpotAccounts
from broker.crm.object_types import RECORD_ID, type_id
from broker.domain.model import App
from broker.errors import (
    AppNotFound,
    BrokerError,
    Busy,
    CallRefused,
    NotAuthenticated,
    wrong_field,
)
from broker.providers.hubspot.events.signature import SignatureCheck, SignedRequest, Version
from broker.recipes.base import AnyRecipe, AnySpec, StartingRecord
from broker.recipes.starts.starting import Starter
from broker.recipes.starts.workflow_callbacks import WorkflowCallbacks, failed, output_fields
from broker.services.events.intake import Intake
from broker.stores.connections.apps import Apps
from broker.web.core.requests import BODY_BYTES, read_json
from broker.web.core.unproved import read_unproved, signed_app

WAIT_S = 8.0
"""How long HubSpot waits for an answer: its extensions give up after 15 seconds by default."""

SIGNED_PARAMETERS = ("portalId", "userId", "appId")
MAX_INPUT = 1024


@dataclass(frozen=True, slots=True)
class _ActionCall:
    """What HubSpot calls for; `callback_id` is a workflow's."""

    hub_id: int
    record_id: str
    callback_id: str | None
    inputs: Mapping[str, str]


class WorkflowActions:
    """`/hubspot/{slug}-{UUID}/actions/{recipe}`."""

    def __init__(
        self,
        intake: Intake,
        apps: Apps,
        accounts: HubSpotAccounts,
        starter: Starter,
        callbacks: WorkflowCallbacks,
        public_url: str,
    ) -> None:
        self._intake = intake
        self._apps = apps
        self._accounts = accounts
        self._starter = starter
        self._callbacks = callbacks
        self._public_url = public_url

    async def run(self, spec: AnySpec, recipe: AnyRecipe, request: web.Request) -> web.Response:
        """Start the recipe for the record that HubSpot names. Raises NotAuthenticated,
        InvalidRequest or Busy; any other refusal is an output of the action.
        """
        app, body = await self._authenticate(request)
        call = _read_call(spec, app, request, body)
        try:
            output = await self._start(spec, recipe, app, call)
        except Busy:
            raise  # HubSpot tries again
        except BrokerError as refusal:
            output = failed(spec, refusal)
        return web.json_response({"outputFields": output})

    async def _start(
        self, spec: AnySpec, recipe: AnyRecipe, app: App, call: _ActionCall
    ) -> dict[str, Any]:
        settings, action = await recipe.setup.get(app), spec.action
        assert action is not None  # noqa: S101  # only a recipe with an action has the address
        if call.callback_id is None and not action.allows_cards(settings.model):
            raise CallRefused(
                'Cards and "Send a webhook" may not start this recipe. Set "cards": true in its '
                "settings to allow them."
            )
        user = await self._accounts.user_of_account(app, call.hub_id)
        record = StartingRecord(
            app.id,
            user,
            action.object_type,
            call.record_id,
            call.inputs,
            call.callback_id or uuid4().hex,
        )
        request = await recipe.record_request(record, settings)
        run = (await self._starter.start(request, WAIT_S)).run
        if run.state == "running" and call.callback_id is not None:
            await self._callbacks.wait(run.id, call.callback_id, user)
            return {"hs_execution_state": "ASYNC"}
        return output_fields(spec, run)

    async def _authenticate(self, request: web.Request) -> tuple[App, dict[str, Any]]:
        """The app that HubSpot calls, and the body. Raises NotAuthenticated."""
        workspace_id, slug = signed_app(request)
        uri = self._public_url + request.raw_path
        head = SignedRequest(request.method, uri, list(request.headers.items()), b"")
        secrets = await self._intake.secrets(workspace_id, slug)
        accepted = frozenset({Version.V2, Version.V3})
        signature = SignatureCheck(head, secrets, int(time.time() * 1000), accepted)
        raw = await read_unproved(request, BODY_BYTES, signature.update)
        signature.finish()
        try:
            app = await self._apps.get(workspace_id, slug)
        except AppNotFound:
            raise NotAuthenticated from None
        body = read_json(raw) if raw else {}
        return app, body if isinstance(body, dict) else {}


def _read_call(
    spec: AnySpec, app: App, request: web.Request, body: Mapping[str, Any]
) -> _ActionCall:
    """Account, record and, for a workflow, callback and inputs. Raises InvalidRequest."""
    action = spec.action
    assert action is not None  # noqa: S101  # only a recipe with an action has the address
    callback_id = body.get("callbackId")
    signed = any(name in request.query for name in SIGNED_PARAMETERS)
    if signed or not isinstance(callback_id, str):
        values = {name: _signed_parameter(request, name) for name in SIGNED_PARAMETERS}
        if values["appId"] != app.hubspot_app_id:
            raise wrong_field("appId", "is not this app's")
        name = action.record_field
        record_id = _id(body.get(name, body.get("objectId")), name)
        return _ActionCall(int(_id(values["portalId"], "portalId")), record_id, None, {})
    if not 1 <= len(callback_id) <= 255:
        raise wrong_field("callbackId", "is not a callback")
    origin, record = _object(body, "origin"), _object(body, "object")
    object_type = str(record.get("objectType", action.object_type))
    if _type_of(object_type) != _type_of(action.object_type):
        raise wrong_field("object.objectType", f"is not {action.object_type}")
    return _ActionCall(
        int(_id(origin.get("portalId"), "origin.portalId")),
        _id(record.get("objectId"), "object.objectId"),
        callback_id,
        _inputs(_object(body, "inputFields"), action.inputs),
    )


def _type_of(name: str) -> str:
    """An object type's id; its name, for a custom object's."""
    return type_id(name) or name.lower()


def _signed_parameter(request: web.Request, name: str) -> str:
    values = request.query.getall(name, [])
    if len(values) != 1:
        raise wrong_field(name, "must stand exactly once in the query")
    return str(values[0])


def _inputs(fields: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """The action's inputs that have a value."""
    return {
        name: value[:MAX_INPUT]
        for name in names
        if isinstance(value := fields.get(name), str) and value
    }


def _object(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _id(value: Any, field: str) -> str:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not RECORD_ID.fullmatch(text):
        raise wrong_field(field, "is not an id")
    return text
