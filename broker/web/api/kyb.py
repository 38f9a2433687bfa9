"""The KYB recipe for callers: its settings, its setup and its kickoff."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field

from broker.crm.companies import CompanyAccess
from broker.domain.model import App, Caller, Secret
from broker.errors import InvalidRequest, wrong_field
from broker.recipes.kyb.kickoffs import Kickoff, KickoffResult, Kickoffs, company_kickoff
from broker.recipes.kyb.settings import READ, WRITTEN, KybSettings, KybSetup
from broker.recipes.kyb.steps import HUBSPOT
from broker.stores.connections.apps import Apps
from broker.web.core.openapi import operation
from broker.web.core.requests import RequestModel, Text, UserRef, path_slug

WAIT_S = 15.0
"""How long a kickoff may take before its caller is told that it goes on."""

TAGS = ("Recipes",)

PropertyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")]


class Properties(RequestModel):
    """The Company properties that First Mile Labs' fields are read from."""

    customerEmail: PropertyName = READ["customerEmail"]
    customerName: PropertyName = READ["customerName"]
    companyName: PropertyName = READ["companyName"]
    country: PropertyName = READ["country"]


class WriteBack(RequestModel):
    """The Company properties that show the case; null writes nothing."""

    caseId: PropertyName | None = WRITTEN["caseId"]
    status: PropertyName | None = WRITTEN["status"]
    stage: PropertyName | None = WRITTEN["stage"]
    decision: PropertyName | None = WRITTEN["decision"]
    lastEventAt: PropertyName | None = WRITTEN["lastEventAt"]


class TriggerRule(RequestModel):
    """A Company whose property becomes this value is kicked off."""

    property: PropertyName
    value: Text


class KybChange(RequestModel):
    """The whole of the settings; a secret that is left out stays as it is."""

    clientId: Text
    clientSecret: Text | None = None
    webhookSecret: Text | None = None
    properties: Properties = Field(default_factory=Properties)
    trigger: TriggerRule | None = None
    sendInvite: bool = True
    writeBack: WriteBack = Field(default_factory=WriteBack)
    callsPerMinute: Annotated[int, Field(ge=1, le=100_000)] = 120


class KybShown(BaseModel):
    """The settings without secrets, and the addresses to enter at FML and at HubSpot."""

    clientId: str
    hasWebhookSecret: bool
    properties: dict[str, str]
    trigger: dict[str, str] | None
    sendInvite: bool
    writeBack: dict[str, str | None]
    callsPerMinute: int
    webhookUrl: str
    actionUrl: str
    createdAt: datetime
    updatedAt: datetime


class ForUser(RequestModel):
    """Whose HubSpot account."""

    userForeignIdentifier: UserRef


class Prepared(BaseModel):
    """The Company properties that were made, and those that were there."""

    created: list[str]
    existing: list[str]


OverrideText = Annotated[str, Field(max_length=1024)]


class KickoffRequest(RequestModel):
    """A Company of a connected user (`userForeignIdentifier`, `companyId`), or any CRM's record
    (`crmRecordId`, `crmSource`) with its fields; the fields override what a Company says.
    """

    userForeignIdentifier: UserRef | None = None
    companyId: Annotated[str, Field(pattern=r"^[0-9]{1,20}$")] | int | None = None
    crmRecordId: Annotated[Text, Field(max_length=200)] | int | None = None
    crmSource: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")] | None = None
    customerEmail: OverrideText | None = None
    customerName: OverrideText | None = None
    companyName: OverrideText | None = None
    country: OverrideText | None = None
    sendInvite: bool | None = None
    dryRun: bool = False

    def kickoff(self) -> Kickoff:
        """Raises InvalidRequest unless it is one of the two forms."""
        given = {name: getattr(self, name) for name in READ}
        if self.companyId is not None or self.userForeignIdentifier is not None:
            return self._of_company(given)
        if self.crmRecordId is None or self.crmSource is None:
            raise InvalidRequest(
                "Say userForeignIdentifier and companyId, or crmRecordId and crmSource.",
                errors=[
                    {"field": name, "message": "is needed"}
                    for name, value in (
                        ("crmRecordId", self.crmRecordId),
                        ("crmSource", self.crmSource),
                    )
                    if value is None
                ],
            )
        source = self.crmSource.lower()
        if source == HUBSPOT:
            raise wrong_field(
                "crmSource", "is hubspot; say userForeignIdentifier and companyId for that"
            )
        return Kickoff(source, str(self.crmRecordId), None, given, self.sendInvite)

    def _of_company(self, given: dict[str, str | None]) -> Kickoff:
        for name in ("userForeignIdentifier", "companyId"):
            if getattr(self, name) is None:
                raise wrong_field(name, "is needed for a Company")
        for name in ("crmRecordId", "crmSource"):
            if getattr(self, name) is not None:
                raise wrong_field(name, "is not said together with companyId")
        user_ref, company_id = str(self.userForeignIdentifier), str(self.companyId)
        return company_kickoff(user_ref, company_id, given, self.sendInvite)


class KickoffResponse(BaseModel):
    """What came of a kickoff; `ok` is null while it goes on."""

    ok: bool | None
    runId: UUID | None = None
    state: str | None = None
    caseId: str | None = None
    created: bool | None = None
    status: str | None = None
    customerPortalUrl: str | None = None
    analystUrl: str | None = None
    inviteSentAt: str | None = None
    crmRecordId: str | None = None
    crmSource: str | None = None
    writtenBack: bool | None = None
    dryRun: Literal[True] | None = None
    wouldSend: dict[str, Any] | None = None
    wouldWrite: dict[str, Any] | None = None
    missingProperties: list[str] | None = None


class KybHandlers:
    """`/api/apps/{slug}/recipes/kyb` and `/api/recipes/kyb/{slug}`."""

    def __init__(
        self,
        apps: Apps,
        setup: KybSetup,
        kickoffs: Kickoffs,
        companies: CompanyAccess,
        public_url: str,
    ) -> None:
        self._apps = apps
        self._setup = setup
        self._kickoffs = kickoffs
        self._companies = companies
        self._public_url = public_url

    @operation("recipes", body=KybChange, answers={200: KybShown}, tags=TAGS)
    async def put(self, request: web.Request, caller: Caller, body: KybChange) -> KybShown:
        """Set up the KYB recipe of an app.

        Secrets are sealed and never shown. A new `webhookSecret` leaves the one before valid for 24
        hours. Enter `webhookUrl` at First Mile Labs, `actionUrl` in HubSpot's action or card.
        """
        app = await self._app(request, caller)
        given = body.model_dump(exclude={"clientSecret", "webhookSecret"})
        settings = await self._setup.put(
            app,
            str(caller.key_id),
            given,
            None if body.clientSecret is None else Secret(body.clientSecret),
            None if body.webhookSecret is None else Secret(body.webhookSecret),
        )
        return self._shown(app, settings)

    @operation("recipes", answers={200: KybShown}, tags=TAGS)
    async def show(self, request: web.Request, caller: Caller) -> KybShown:
        """Show the settings of the KYB recipe, without secrets."""
        app = await self._app(request, caller)
        return self._shown(app, await self._setup.get(app))

    @operation("recipes", answers={204: None}, tags=TAGS)
    async def remove(self, request: web.Request, caller: Caller) -> web.Response:
        """Forget the settings of the KYB recipe; runs stay as they are, and wait."""
        await self._setup.delete(await self._app(request, caller), str(caller.key_id))
        return web.Response(status=204)

    @operation("recipes", body=ForUser, answers={200: Prepared}, tags=TAGS)
    async def setup(self, request: web.Request, caller: Caller, body: ForUser) -> Prepared:
        """Make the Company properties that a user's HubSpot account lacks."""
        app = await self._app(request, caller)
        user_ref = body.userForeignIdentifier
        writer = self._companies.writer(app.workspace_id, app.slug, user_ref)
        created, existing = await self._setup.create_properties(app, writer)
        return Prepared(created=created, existing=existing)

    @operation(
        "recipes",
        body=KickoffRequest,
        answers={200: KickoffResponse, 201: KickoffResponse, 202: KickoffResponse},
        tags=TAGS,
    )
    async def start(
        self, request: web.Request, caller: Caller, body: KickoffRequest
    ) -> web.Response:
        """Start onboarding: one case for one record, however often this is asked.

        201 for a new case, 200 for one that existed, 202 when it goes on (look at the run, or wait
        for the event `recipe.run.finished`). A refusal carries `runId` when a run was begun, and
        what First Mile Labs said as `vendorError`. `dryRun` changes nothing anywhere and says what
        would be sent and written.
        """
        app, kickoff = await self._app(request, caller), body.kickoff()
        if body.dryRun:
            done = await self._kickoffs.dry_run(app, caller, kickoff)
            return _answer(200, KickoffResponse(**done))
        came = await self._kickoffs.start(app, caller, kickoff, WAIT_S)
        return to_response(came)

    async def _app(self, request: web.Request, caller: Caller) -> App:
        return await self._apps.get(caller.workspace_id, path_slug(request, caller))

    def _shown(self, app: App, settings: KybSettings) -> KybShown:
        name = f"{app.slug}-{app.workspace_id}"
        return KybShown(
            clientId=settings.client_id,
            hasWebhookSecret=settings.has_webhook_secret,
            properties=dict(settings.properties),
            trigger=None if settings.trigger is None else dict(settings.trigger),
            sendInvite=settings.send_invite,
            writeBack=dict(settings.write_back),
            callsPerMinute=settings.calls_a_minute,
            webhookUrl=f"{self._public_url}/fml/{name}/webhooks",
            actionUrl=f"{self._public_url}/hubspot/{name}/actions/kyb",
            createdAt=settings.created_at,
            updatedAt=settings.updated_at,
        )


def to_response(came: KickoffResult) -> web.Response:
    """A kickoff as it stands. Raises the refusal of one that failed."""
    run_id = came.run.id
    if came.run.state == "running":
        return _answer(202, KickoffResponse(ok=None, runId=run_id, state="running"))
    answer = came.answer
    status = 201 if answer["created"] else 200
    return _answer(status, KickoffResponse(runId=run_id, **answer))


def _answer(status: int, said: KickoffResponse) -> web.Response:
    shown = said.model_dump_json(exclude_unset=True)
    return web.Response(text=shown, status=status, content_type="application/json")
