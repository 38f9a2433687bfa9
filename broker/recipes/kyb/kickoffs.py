"""What a kickoff asks for: the run of its record, and what a dry run of it shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from broker.crm.accounts import HubSpotAccounts
from broker.crm.object_types import COMPANIES
from broker.crm.records import CrmRecords, HubSpotUser
from broker.domain.model import App, Caller
from broker.domain.runs import RunRecord, RunRequest
from broker.recipes.base import StartingRecord
from broker.recipes.kyb.identity import (
    RecordIdentity,
    company_identity,
    serves_another_account,
)
from broker.recipes.kyb.models import NAME, READ, KickoffRequest, KybSettings
from broker.recipes.kyb.properties import property_definitions
from broker.recipes.kyb.steps import (
    VENDOR,
    case_request,
    company_changes,
    idempotency_key,
    read_values,
)
from broker.recipes.settings import RecipeSetup, StoredSettings
from broker.stores.recipes.kyb_cases import Cases, CaseState
from broker.stores.recipes.run_records import RunRecords
from broker.stores.recipes.runs import check_account
from broker.stores.recipes.vendors import VendorClients

NOT_YET_KNOWN = "(the case's id)"
NEW_CASE = "in-progress"


@dataclass(frozen=True, slots=True)
class ExistingRun:
    """What was there before a kickoff: the record's run and its case, if any, and whether something
    was rejected under the record's own key.
    """

    run: RunRecord | None
    case: CaseState | None
    refusal: bool

    @property
    def is_active(self) -> bool:
        """Whether a kickoff would join the run and begin nothing itself."""
        return self.run is not None and self.run.state in {"running", "done"}

    @property
    def fields(self) -> dict[str, Any]:
        """The run, as fields of a dry run's response."""
        if self.run is None:
            return {}
        case_id = None if self.case is None else self.case.case_id
        return {"runId": self.run.id, "state": self.run.state, "caseId": case_id}


class Kickoffs:
    """Makes run requests of kickoffs."""

    def __init__(
        self,
        setup: RecipeSetup[KybSettings],
        accounts: HubSpotAccounts,
        crm: CrmRecords,
        clients: VendorClients,
        cases: Cases,
        records: RunRecords,
        fml_url: str,
    ) -> None:
        self._setup = setup
        self._accounts = accounts
        self._crm = crm
        self._clients = clients
        self._cases = cases
        self._records = records
        self._fml_url = fml_url

    async def run_request(self, app: App, caller: Caller, body: KickoffRequest) -> RunRequest:
        """The run of a caller's kickoff. Raises InvalidRequest, RecipeNotFound, OtherAccount, and
        what a connection may be refused for.
        """
        body.check()
        settings = await self._setup.get(app)
        if body.userForeignIdentifier is None:
            source = str(body.crmSource).lower()
            identity = RecordIdentity(source, str(body.crmRecordId))
            return _request(
                app.workspace_id, app.id, None, identity, body.overrides, body.sendInvite
            )
        user = await self._accounts.user(app, caller, body.userForeignIdentifier)
        identity = await self._company(settings, app.id, user, str(body.companyId))
        return _request(app.workspace_id, app.id, user, identity, body.overrides, body.sendInvite)

    async def record_request(
        self, record: StartingRecord, settings: StoredSettings[KybSettings]
    ) -> RunRequest:
        """The run of a Company that HubSpot names. Raises OtherAccount."""
        user = record.user
        identity = await self._company(settings, record.app_id, user, record.record_id)
        overrides = {name: record.inputs.get(name) for name in READ}
        return _request(user.workspace_id, record.app_id, user, identity, overrides, None)

    async def dry_run(self, app: App, caller: Caller, body: KickoffRequest) -> dict[str, Any]:
        """What a kickoff would send and write. Nothing here can write: the Company is read through
        a reader, and the rest is computed by the functions that a real run uses.

        Raises as a real one would for what it can see.
        """
        request = await self.run_request(app, caller, body)
        settings = (await self._setup.get(app)).model
        before = await self._existing_run(request)
        kickoff, company_id = request.input, request.input["companyId"]
        fields = {
            "crmRecordId": kickoff["recordId"],
            "crmSource": kickoff["source"],
            "wouldSend": None,
            "wouldWrite": None,
            "missingProperties": [],
            **before.fields,
        }
        if before.is_active:
            return fields
        reader = None
        if request.user_ref is not None:
            user = HubSpotUser(app.workspace_id, app.slug, request.user_ref, request.hub_id)
            reader = self._crm.reader(user)
            there = await reader.property_names(COMPANIES)
            wanted = property_definitions(settings).by_name
            fields["missingProperties"] = [name for name in wanted if name not in there]
        if before.case is None:
            sent = case_request(settings, kickoff, await read_values(reader, settings, kickoff))
            identity = RecordIdentity(kickoff["source"], kickoff["recordId"], company_id)
            key = idempotency_key(identity, sent, refused=before.refusal)
            fields["wouldSend"] = {
                "method": "POST",
                "url": f"{self._fml_url}/v1/cases",
                "headers": {"Idempotency-Key": key},
                "body": sent,
            }
        if reader is not None:
            state = before.case or CaseState(
                kickoff["recordId"], NOT_YET_KNOWN, NEW_CASE, None, None, None
            )
            changes = company_changes(settings, state)
            fields["wouldWrite"] = {"companyId": company_id, "properties": changes}
        return fields

    async def served_account(
        self, workspace_id: UUID, settings: StoredSettings[KybSettings]
    ) -> int | None:
        """The HubSpot account that the settings' FML client serves where Companies are sent by
        their bare ids: the one that the settings name, else the one of the first case.
        """
        if settings.model.hubId is not None:
            return settings.model.hubId
        return await self._clients.served_account(workspace_id, VENDOR, settings.model.clientId)

    async def _company(
        self,
        settings: StoredSettings[KybSettings],
        app_id: UUID,
        user: HubSpotUser,
        company_id: str,
    ) -> RecordIdentity:
        """The identity of a Company: that of the case it has, else as the settings say."""
        modes = ["company", "account"]
        if settings.model.recordIds == "account":
            modes.reverse()
        identities = [company_identity(mode, user.hub_id, company_id) for mode in modes]
        for identity in identities:
            run = await self._records.find(user.workspace_id, app_id, NAME, identity.subject)
            if run is not None and run.hub_id == user.hub_id:
                if run.state in {"running", "done"}:
                    return identity
                case = await self._cases.of_run(user.workspace_id, run.id)
                if case is not None and case.case_id is not None:
                    return identity
        if settings.model.recordIds == "company":
            served = await self.served_account(user.workspace_id, settings)
            if served is not None and served != user.hub_id:
                raise serves_another_account(served)
        return identities[0]

    async def _existing_run(self, request: RunRequest) -> ExistingRun:
        """What an earlier kickoff of the record left. Raises OtherAccount."""
        workspace_id = request.workspace_id
        run = await self._records.find(
            workspace_id, request.app_id, request.recipe, request.subject
        )
        if run is None:
            return ExistingRun(None, None, refusal=False)
        case = await self._cases.of_run(workspace_id, run.id)
        has_case = case is not None and case.case_id is not None
        if has_case or run.state in {"running", "done"}:
            check_account(run.hub_id, request)
        elif run.hub_id != request.hub_id:
            return ExistingRun(None, None, refusal=False)  # its failed run gives way
        steps = await self._records.steps(workspace_id, run.id)
        refused = any(step.checkpoint.get("refused") for step in steps)
        return ExistingRun(run, case if has_case else None, refusal=refused)


def _request(
    workspace_id: UUID,
    app_id: UUID,
    user: HubSpotUser | None,
    identity: RecordIdentity,
    overrides: Mapping[str, str | None],
    send_invite: bool | None,
) -> RunRequest:
    kickoff = {
        "source": identity.source,
        "recordId": identity.record_id,
        "companyId": identity.company_id,
        "overrides": dict(overrides),
        "sendInvite": send_invite,
    }
    user_ref, hub_id = (None, None) if user is None else (user.user_ref, user.hub_id)
    return RunRequest(workspace_id, app_id, NAME, identity.subject, user_ref, hub_id, kickoff)
