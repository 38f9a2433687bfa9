"""All the ways into the KYB recipe: a caller's kickoff, HubSpot's signed calls, a dry run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from broker.crm.companies import CompanyAccess
from broker.domain.model import App, Caller, Connection, ProxyCall, Status
from broker.domain.runs import RunRecord, RunRequest
from broker.errors import ConnectionNotFound, ReauthRequired
from broker.recipes.kyb.settings import KYB, KybSetup, wanted_properties
from broker.recipes.kyb.steps import (
    HUBSPOT,
    NEW_CASE,
    case_request,
    company_changes,
    key_of,
    read_values,
)
from broker.services.grants.renewals import refusal_of as connection_refusal
from broker.services.installs.oauth_flow import Installs
from broker.services.runs.engine import Runs, refusal_of
from broker.stores.connections.connections import Connections
from broker.stores.recipes.kyb_cases import Cases, CaseState
from broker.stores.recipes.run_records import RunRecords
from broker.stores.recipes.runs import check_account

NOT_YET_KNOWN = "(the case's id)"


@dataclass(frozen=True, slots=True)
class Kickoff:
    """What a kickoff says: a Company of a connected user, or any CRM's record. `given` overrides
    what the Company says, by FML's field.
    """

    source: str
    record_id: str
    user_ref: str | None
    overrides: Mapping[str, str | None]
    send_invite: bool | None = None

    def input(self) -> dict[str, Any]:
        """What is kept with the run."""
        return {
            "source": self.source,
            "recordId": self.record_id,
            "given": dict(self.overrides),
            "sendInvite": self.send_invite,
        }

    def run_request(self, workspace_id: UUID, app_id: UUID, hub_id: int | None) -> RunRequest:
        """The run that this kickoff asks for."""
        subject = f"{self.source}-{self.record_id}"
        return RunRequest(workspace_id, app_id, KYB, subject, self.user_ref, hub_id, self.input())


@dataclass(frozen=True, slots=True)
class KickoffResult:
    """What came of a kickoff so far. `existed` says that the case was there before it."""

    run: RunRecord
    existed: bool

    @property
    def answer(self) -> dict[str, Any]:
        """The result of a run that is done. Raises the refusal of one that failed."""
        if self.run.problem is not None:
            raise refusal_of({**self.run.problem, "runId": str(self.run.id)})
        result = dict(self.run.result or {})
        return {**result, "created": bool(result.get("created")) and not self.existed}


@dataclass(frozen=True, slots=True)
class ExistingRun:
    """What was there before a kickoff: the record's run and its case, if any, and whether something
    was refused under the record's own key.
    """

    run: RunRecord | None
    case: CaseState | None
    refusal: bool

    @property
    def is_active(self) -> bool:
        """Whether a kickoff would join the run and begin nothing itself."""
        return self.run is not None and self.run.state != "failed"

    @property
    def facts(self) -> dict[str, Any]:
        if self.run is None:
            return {}
        case_id = None if self.case is None else self.case.case_id
        return {"runId": self.run.id, "state": self.run.state, "caseId": case_id}


class Kickoffs:
    """Starts runs of the recipe and waits for them."""

    def __init__(
        self,
        setup: KybSetup,
        runs: Runs,
        records: RunRecords,
        cases: Cases,
        connections: Connections,
        companies: CompanyAccess,
        installs: Installs,
        fml_url: str,
    ) -> None:
        self._setup = setup
        self._runs = runs
        self._records = records
        self._cases = cases
        self._connections = connections
        self._companies = companies
        self._installs = installs
        self._fml_url = fml_url

    async def start(
        self, app: App, caller: Caller, kickoff: Kickoff, within_s: float
    ) -> KickoffResult:
        """Start a kickoff, or join the one for the same record; how it stands after some seconds.

        Raises RecipeNotFound, InputRefused, and what a connection may be refused for.
        """
        await self._setup.get(app)
        connection = await self._connection(app, caller, kickoff)
        hub_id = None if connection is None else connection.hub_id
        return await self.start_for(app.workspace_id, app.id, hub_id, kickoff, within_s)

    async def start_for(
        self,
        workspace_id: UUID,
        app_id: UUID,
        hub_id: int | None,
        kickoff: Kickoff,
        within_s: float,
    ) -> KickoffResult:
        """The same for a connection that is known to be there. Raises InputRefused."""
        order = kickoff.run_request(workspace_id, app_id, hub_id)
        run_id, before = await self._runs.start(order)
        record = await self._runs.wait(workspace_id, run_id, within_s)
        return KickoffResult(
            await self._with_current_status(workspace_id, record), existed=before == "done"
        )

    async def dry_run(self, app: App, caller: Caller, kickoff: Kickoff) -> dict[str, Any]:
        """What a kickoff would send and write. Nothing here can write: the Company is read through
        a reader, and the rest is computed by what a real run computes it by.

        Raises as a real one would for what it can see.
        """
        settings = await self._setup.get(app)
        connection = await self._connection(app, caller, kickoff)
        hub_id = None if connection is None else connection.hub_id
        before = await self._existing_run(kickoff.run_request(app.workspace_id, app.id, hub_id))
        said = {"crmRecordId": kickoff.record_id, "crmSource": kickoff.source, **before.facts}
        said = {"ok": True, "dryRun": True, **said}
        if before.is_active:
            return {**said, "wouldSend": None, "wouldWrite": None, "missingProperties": []}
        reader, missing = None, []
        if kickoff.user_ref is not None:
            reader = self._companies.reader(app.workspace_id, app.slug, kickoff.user_ref)
            there = await reader.property_names()
            missing = [name for name in wanted_properties(settings) if name not in there]
        would_send = None
        if before.case is None:
            given = kickoff.input()
            request = case_request(settings, given, await read_values(reader, settings, given))
            would_send = {
                "method": "POST",
                "url": f"{self._fml_url}/v1/cases",
                "headers": {"Idempotency-Key": key_of(given, request, refused=before.refusal)},
                "body": request,
            }
        would_write = None
        if reader is not None:
            state = before.case or CaseState(NOT_YET_KNOWN, NEW_CASE, None, None, None)
            changes = company_changes(settings, state)
            would_write = {"companyId": kickoff.record_id, "properties": changes}
        return {
            **said,
            "wouldSend": would_send,
            "wouldWrite": would_write,
            "missingProperties": missing,
        }

    async def _existing_run(self, order: RunRequest) -> ExistingRun:
        """What an earlier kickoff of the record left. Raises InputRefused."""
        run = await self._records.find(
            order.workspace_id, order.app_id, order.recipe, order.subject
        )
        if run is None:
            return ExistingRun(None, None, refusal=False)
        check_account(run.hub_id, order)
        case = await self._cases.of_run(order.workspace_id, run.id)
        steps = await self._records.steps(order.workspace_id, run.id)
        refused = any(step.checkpoint.get("refused") for step in steps)
        return ExistingRun(run, case if case and case.case_id else None, refusal=refused)

    async def _connection(self, app: App, caller: Caller, kickoff: Kickoff) -> Connection | None:
        if kickoff.user_ref is None:
            return None
        connection = await self._connections.of_user(app.workspace_id, app.slug, kickoff.user_ref)
        if connection.grant is not None:
            return connection
        refusal = connection_refusal(connection)
        if isinstance(refusal, ReauthRequired):
            whose = ProxyCall(app.slug, kickoff.user_ref, "GET", "/", [], None)
            raise await self._installs.with_reconnect_url(refusal, caller, whose)
        raise refusal

    async def user_of_account(self, app: App, hub_id: int) -> str:
        """Whose connection acts for a HubSpot account: the oldest one that works.

        Raises ConnectionNotFound.
        """
        page = await self._connections.page(
            app, status=Status.ACTIVE, account_id=str(hub_id), after=0, limit=1
        )
        users = [each.user_ref for each in page.records if each.user_ref is not None]
        if not users:
            raise ConnectionNotFound
        return users[0]

    async def _with_current_status(self, workspace_id: UUID, record: RunRecord) -> RunRecord:
        """A finished run's result with the status that First Mile Labs told last."""
        if record.result is None:
            return record
        state = await self._cases.of_run(workspace_id, record.id)
        if state is None or state.status is None:
            return record
        return replace(record, result={**record.result, "status": state.status})


def company_kickoff(
    user_ref: str,
    company_id: str,
    given: Mapping[str, str | None] | None = None,
    send_invite: bool | None = None,
) -> Kickoff:
    """A kickoff for a Company, as it is but for what is given."""
    return Kickoff(HUBSPOT, company_id, user_ref, given or {}, send_invite)
