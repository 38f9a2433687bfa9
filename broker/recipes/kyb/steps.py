"""The steps of the KYB recipe: from a Company, or any CRM's record, to one onboarding case at First
Mile Labs and back (https://www.firstmilelabs.com/docs/hubspot).

Why there is one case
---------------------
One run exists for a record. FML gets the key `{crmSource}-{crmRecordId}`, so an answer that was
lost is repeated; and FML makes no second case for a record whatever the key. A key under which
FML rejected the input keeps that answer, so after a correction the key carries a hash of the body.

Why it is the record's own case
-------------------------------
FML knows no HubSpot accounts. Where Companies are sent by their bare ids, the first case reserves
the FML client for its account; and a case that is another record's, or another run's, is refused.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from broker.crm.object_types import COMPANIES
from broker.crm.records import CrmRecords, RecordReader, user_of
from broker.domain.model import Secret
from broker.domain.runs import PermanentFailure, RetryLater, Run, Step, StepContext
from broker.domain.vendors import VendorAccount
from broker.errors import IdempotencyKeyConflict, InputRefused, OtherAccount
from broker.providers.fml.client import FirstMileLabs
from broker.providers.fml.protocol import CaseResult, text_of
from broker.recipes.kyb.identity import WAY_OUT, RecordIdentity, serves_another_account
from broker.recipes.kyb.models import HUBSPOT, READ, KybSettings
from broker.recipes.settings import RecipeSetup, StoredSettings
from broker.services.vendors.api import VendorApi
from broker.stores.recipes.kyb_cases import Cases, CaseState
from broker.stores.recipes.vendors import VendorClients

VENDOR = "fml"
EMAIL = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+\.[^@\s<>,;\".]+")
RESULT_FIELDS = ("caseId", "status", "customerPortalUrl", "analystUrl", "inviteSentAt")
MAX_CONFLICTS = 5
"""How often a key's conflict is waited out that an earlier attempt of this run may have caused."""

RESERVATION = timedelta(seconds=60)
"""How long the first case of an FML client may take; longer than a step."""

Input = Mapping[str, Any]
"""A run's input: `source`, `recordId`, `companyId`, `overrides`, `sendInvite`."""


@dataclass(frozen=True, slots=True)
class KybSteps:
    """The recipe's steps, with what they work with."""

    setup: RecipeSetup[KybSettings]
    client: FirstMileLabs
    api: VendorApi
    clients: VendorClients
    cases: Cases
    crm: CrmRecords

    def steps(self) -> Sequence[Step]:
        """The steps, in order."""
        return (
            Step("read-company", self.read_company),
            Step("check-input", self.check_input),
            Step("create-case", self.create_case, has_side_effect=True),
            Step("write-back", self.write_back, has_side_effect=True),
        )

    async def read_company(self, context: StepContext) -> dict[str, Any]:
        """The fields for FML: the kickoff's own, else the Company's."""
        run, settings = context.run, await self._settings(context.run)
        user = user_of(run)
        reader = None if user is None else self.crm.reader(user)
        return {"values": await read_values(reader, settings.model, run.input)}

    async def check_input(self, context: StepContext) -> dict[str, Any]:
        """The body for FML, if it can be sent."""
        settings = await self._settings(context.run)
        values = context.outcomes["read-company"]["values"]
        return {"request": case_request(settings.model, context.run.input, values)}

    async def create_case(self, context: StepContext) -> dict[str, Any]:
        """Create the case, or find it."""
        run, body = context.run, context.outcomes["check-input"]["request"]
        account = vendor_account(run.workspace_id, await self._settings(run))
        identity = identity_of(run.input)
        await self.cases.open(run, account.client_id, identity.source, identity.record_id)
        made = await self._create(context, account, identity, body)
        case = {name: text_of(made.case.get(name)) for name in RESULT_FIELDS}
        check_case(made.case, identity)
        await self.cases.record_case(run, str(case["caseId"]), case["status"], identity.record_id)
        if run.hub_id is not None and identity.record_id == identity.company_id:
            await self.clients.confirm_account(account, run.hub_id)
        # A replay of what this very run sent, whose answer was lost, is still its own.
        return {"case": case, "created": not made.existed or context.outcome_unknown}

    async def write_back(self, context: StepContext) -> dict[str, Any]:
        """Let the Company show its case."""
        run = context.run
        state = await self.cases.of_run(run.workspace_id, run.id)
        user, company_id = user_of(run), run.input.get("companyId")
        if user is None or state is None or company_id is None:
            return {"writtenBack": False, "why": "no HubSpot connection"}
        changes = company_changes((await self._settings(run)).model, state)
        if not changes:
            return {"writtenBack": False, "why": "nothing is to be written"}
        try:
            found = await self.crm.writer(user).update(COMPANIES, str(company_id), changes)
        except InputRefused as refusal:  # there is a case all the same
            context_fields = {**refusal.context, "caseId": state.case_id}
            raise InputRefused(refusal.detail, **context_fields) from refusal
        return {"writtenBack": found, "why": None if found else "the Company is gone"}

    async def _reserve_client(
        self, run: Run, account: VendorAccount, identity: RecordIdentity
    ) -> None:
        """Raise OtherAccount when the FML client serves another HubSpot account."""
        if run.hub_id is None or identity.record_id != identity.company_id:
            return
        served = await self.clients.reserve_account(account, run.hub_id, RESERVATION)
        if served.hub_id != run.hub_id:
            if served.confirmed:
                raise serves_another_account(served.hub_id)
            raise RetryLater(2, "another HubSpot account's first case is under way")

    async def _create(
        self,
        context: StepContext,
        account: VendorAccount,
        identity: RecordIdentity,
        body: Mapping[str, Any],
    ) -> CaseResult:
        checkpoint = context.checkpoint
        key = idempotency_key(identity, body, refused=bool(checkpoint.get("refused")))

        async def send(token: Secret) -> CaseResult:
            # Not before there is a token: who has only the client's id reserves nothing.
            await self._reserve_client(context.run, account, identity)
            return await self.client.create_case(token, key, body)

        try:
            return await self.api.call(account, checkpoint, send)
        except RetryLater as later:
            merged = {**checkpoint, **(later.checkpoint or {})}
            raise RetryLater(later.after_s, later.reason, merged) from later
        except (InputRefused, IdempotencyKeyConflict) as refusal:
            conflicts = int(checkpoint.get("conflicts", 0))
            if (
                context.outcome_unknown
                and conflicts < MAX_CONFLICTS
                and isinstance(refusal, IdempotencyKeyConflict)
            ):
                # The attempt whose end is not known may still be under way there.
                counted = {**checkpoint, "conflicts": conflicts + 1}
                raise RetryLater(2, refusal.code, counted) from refusal
            raise PermanentFailure(refusal, {"refused": True}) from refusal

    async def _settings(self, run: Run) -> StoredSettings[KybSettings]:
        return await self.setup.of_app(run.workspace_id, run.app_id)


def vendor_account(workspace_id: UUID, settings: StoredSettings[KybSettings]) -> VendorAccount:
    """The client that FML counts."""
    return VendorAccount(
        workspace_id,
        VENDOR,
        "First Mile Labs",
        settings.model.clientId,
        settings.secrets["clientSecret"],
        settings.model.callsPerMinute,
    )


def identity_of(kickoff: Input) -> RecordIdentity:
    """The record of a run's input."""
    return RecordIdentity(kickoff["source"], str(kickoff["recordId"]), kickoff.get("companyId"))


async def read_values(
    reader: RecordReader | None, settings: KybSettings, kickoff: Input
) -> dict[str, str | None]:
    """FML's fields: the overrides, else as the Company has them. Raises InputRefused when there is
    no such Company.
    """
    overrides = {name: value for name, value in kickoff["overrides"].items() if value is not None}
    if reader is None:
        return {name: overrides.get(name) for name in READ}
    properties, company_id = settings.properties.model_dump(), str(kickoff["companyId"])
    names = sorted({properties[name] for name in READ if name not in overrides})
    found = await reader.read(COMPANIES, company_id, names)
    if found is None:
        raise InputRefused(
            f"HubSpot has no Company {company_id} in this account.",
            errors=[{"field": "companyId", "message": "is not a Company of this account"}],
        )
    return {name: overrides.get(name, found.get(properties[name])) for name in READ}


def case_request(
    settings: KybSettings, kickoff: Input, values: Mapping[str, str | None]
) -> dict[str, Any]:
    """The body of `POST /v1/cases`. Raises InputRefused, naming what is missing or wrong."""
    trimmed = {name: (value or "").strip() for name, value in values.items()}
    email = trimmed["customerEmail"]
    if not EMAIL.fullmatch(email) or len(email) > 254:
        company = kickoff["source"] == HUBSPOT and kickoff["overrides"].get("customerEmail") is None
        field = settings.properties.customerEmail if company else "customerEmail"
        wrong = "is not an e-mail address" if email else "is empty"
        where = "on the Company " if company else ""
        raise InputRefused(
            f"{field} {wrong} {where}(customerEmail at First Mile Labs). Correct it, then start "
            "again.",
            errors=[{"field": field, "message": f"{wrong} {where}".strip()}],
        )
    invite = kickoff.get("sendInvite")
    return {
        **{name: value for name, value in trimmed.items() if value},
        "crmRecordId": str(kickoff["recordId"]),
        "crmSource": kickoff["source"],
        "sendInvite": settings.sendInvite if invite is None else invite,
    }


def check_case(case: Mapping[str, Any], identity: RecordIdentity) -> None:
    """Raise OtherAccount for a case that says it is another record's."""
    record_id, source = text_of(case.get("crmRecordId")), text_of(case.get("crmSource"))
    same_record = record_id is None or record_id == identity.record_id
    same_source = source is None or source.lower() == identity.source
    if not (same_record and same_source):
        raise OtherAccount(
            f"First Mile Labs returned the case of another record ({source or 'unknown CRM'}, "
            f"{record_id}). {WAY_OUT}"
        )


def idempotency_key(identity: RecordIdentity, body: Mapping[str, Any], *, refused: bool) -> str:
    """The Idempotency-Key: fixed for a record, until FML rejected something under it."""
    if not refused:
        return identity.subject
    text = json.dumps(body, sort_keys=True)
    return f"{identity.subject}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def company_changes(settings: KybSettings, state: CaseState) -> dict[str, str]:
    """What the Company should show, by its properties."""
    moment = state.last_event_at
    values = {
        "caseId": state.case_id,
        "status": state.status,
        "stage": state.stage,
        "decision": state.decision,
        "lastEventAt": f"{moment:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z" if moment else None,
    }
    names = settings.writeBack.model_dump()
    return {
        name: value
        for field, value in values.items()
        if value is not None and (name := names.get(field)) is not None
    }


def build_result(context: StepContext) -> dict[str, Any]:
    """A kickoff's result."""
    made, written = context.outcomes["create-case"], context.outcomes["write-back"]
    kickoff = context.run.input
    return {
        "ok": True,
        **made["case"],
        "created": made["created"],
        "crmRecordId": kickoff["recordId"],
        "crmSource": kickoff["source"],
        "writtenBack": written["writtenBack"],
    }
