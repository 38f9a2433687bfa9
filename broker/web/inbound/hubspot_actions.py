"""HubSpot calling a recipe: a custom workflow action, or a UI extension's `hubspot.fetch`
(https://developers.hubspot.com/docs/api-reference/latest/automation/workflow-actions,
https://developers.hubspot.com/docs/apps/developer-platform/add-features/ui-extensibility/fetching-data).
"""

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from aiohttp import web

from broker.domain.model import App
from broker.errors import AppNotFound, BrokerError, Busy, NotAuthenticated, wrong_field
from broker.providers.hubspot.events.signature import SignedRequest, Version, check
from broker.recipes.kyb.kickoffs import Kickoffs, company_kickoff
from broker.recipes.kyb.settings import READ, KybSetup
from broker.recipes.triggers import COMPANY_ID
from broker.recipes.workflow_callbacks import WorkflowCallbacks, failed, fields, output_fields
from broker.services.events.intake import Intake
from broker.stores.connections.apps import Apps
from broker.web.core.openapi import self_authenticating
from broker.web.core.requests import SLUG, read_body, read_json

WAIT_S = 8.0
"""How long HubSpot is kept waiting: its extensions give up after 15 seconds, if not told more."""

NUMBER = COMPANY_ID
MOST = 1024
COMPANY_WORDS = {"COMPANY", "0-2"}


class HubSpotActions:
    """`/hubspot/{slug}-{UUID}/actions/kyb`."""

    def __init__(
        self,
        intake: Intake,
        apps: Apps,
        setup: KybSetup,
        kickoffs: Kickoffs,
        waiting: WorkflowCallbacks,
        public_url: str,
    ) -> None:
        self._intake = intake
        self._apps = apps
        self._setup = setup
        self._kickoffs = kickoffs
        self._callbacks = waiting
        self._public_url = public_url

    @self_authenticating(answers={200: None}, tags=("Webhooks",))
    async def kyb(self, request: web.Request) -> web.Response:
        """Kick off a Company from HubSpot: a workflow's action, or a card's button.

        Signed by HubSpot with the app's client secret (version 3, else 2). A workflow is answered
        `ASYNC` when the run takes longer than some seconds, and its action completed when it ends.
        """
        app, body = await self._signed(request)
        hub_id, company_id, callback_id = _parse_request(request, body)
        given = _overrides(body if callback_id is None else _object(body, "inputFields"))
        try:
            output = await self._run(app, hub_id, company_id, callback_id, given)
        except Busy:
            raise  # HubSpot tries again
        except BrokerError as refusal:
            output = failed(refusal)
        return web.json_response({"outputFields": output})

    async def _run(
        self,
        app: App,
        hub_id: int,
        company_id: str,
        callback_id: str | None,
        given: Mapping[str, str | None],
    ) -> dict[str, Any]:
        await self._setup.get(app)
        user_ref = await self._kickoffs.user_of_account(app, hub_id)
        kickoff = company_kickoff(user_ref, company_id, given)
        came = await self._kickoffs.start_for(app.workspace_id, app.id, hub_id, kickoff, WAIT_S)
        if came.run.state == "running" and callback_id is not None:
            await self._callbacks.wait(app.workspace_id, came.run.id, callback_id, user_ref)
            return {"hs_execution_state": "ASYNC"}
        if came.run.state == "running":
            return fields(None, {}, None, "ASYNC")
        return output_fields(came.run)

    async def _signed(self, request: web.Request) -> tuple[App, dict[str, Any]]:
        """The app that HubSpot calls, and what it says. Raises NotAuthenticated."""
        slug, raw = request.match_info["slug"], await read_body(request)
        try:
            workspace_id = UUID(request.match_info["workspace"])
        except ValueError:
            raise NotAuthenticated from None
        if not SLUG.fullmatch(slug):
            raise NotAuthenticated
        signed = SignedRequest(
            request.method,
            self._public_url + request.raw_path,
            list(request.headers.items()),
            raw,
        )
        secrets = await self._intake.secrets(workspace_id, slug.lower())
        accepted = frozenset({Version.V2, Version.V3})
        check(signed, secrets, int(time.time() * 1000), accepted)
        try:
            app = await self._apps.get(workspace_id, slug)
        except AppNotFound:
            raise NotAuthenticated from None
        body = read_json(raw) if raw else {}
        return app, body if isinstance(body, dict) else {}


def _parse_request(request: web.Request, body: dict[str, Any]) -> tuple[int, str, str | None]:
    """Account, Company and, for a workflow, the callback. Raises InvalidRequest.

    A card's call has its account in the query, which HubSpot writes and signs. Its body is whatever
    a browser sent: it may look like a workflow's, and is never asked for an account.
    """
    callback_id = body.get("callbackId")
    if "portalId" in request.query or not isinstance(callback_id, str):
        hub_id = _number(request.query.get("portalId"), "portalId")
        return int(hub_id), _number(body.get("companyId", body.get("objectId")), "companyId"), None
    if not 1 <= len(callback_id) <= 255:
        raise wrong_field("callbackId", "is not a callback")
    origin, record = _object(body, "origin"), _object(body, "object")
    if str(record.get("objectType", "COMPANY")).upper() not in COMPANY_WORDS:
        raise wrong_field("object.objectType", "is not COMPANY")
    return (
        int(_number(origin.get("portalId"), "origin.portalId")),
        _number(record.get("objectId"), "object.objectId"),
        callback_id,
    )


def _overrides(said: dict[str, Any]) -> dict[str, str | None]:
    """What an action's inputs or a card say instead of the Company, by FML's fields."""
    return {
        name: said[name][:MOST] for name in READ if isinstance(said.get(name), str) and said[name]
    }


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _number(value: Any, field: str) -> str:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not NUMBER.fullmatch(text):
        raise wrong_field(field, "is not an id")
    return text
