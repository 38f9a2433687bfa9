"""The recipe KYB: from a Company, or any CRM's record, to one onboarding case at First Mile Labs
and back (https://www.firstmilelabs.com/docs/hubspot).

Why there is one case
---------------------
One run exists for a record. FML is asked under the key `{crmSource}-{crmRecordId}`, so an answer
that was lost is given again; and FML makes no second case for a record whatever the key. A key
under which FML refused the input keeps that refusal, so after a correction the key carries a hash
of what is sent.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.crm.companies import CompanyAccess, CompanyReader
from broker.domain.runs import PermanentFailure, Recipe, RetryLater, Run, Step, StepContext
from broker.errors import IdempotencyKeyConflict, InputRefused
from broker.providers.fml.protocol import text_of
from broker.recipes.kyb.settings import KYB, READ, KybSettings, KybSetup
from broker.services.vendors.fml_api import FmlApi
from broker.stores.recipes.kyb_cases import Cases, CaseState

HUBSPOT = "hubspot"
EMAIL = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+\.[^@\s<>,;\".]+")
SHOWN = ("caseId", "status", "customerPortalUrl", "analystUrl", "inviteSentAt")
NEW_CASE = "in-progress"
CONFLICTS = 5
"""How often a key's conflict is waited out that an earlier attempt of ours may have caused."""


Input = Mapping[str, Any]
"""What a kickoff says: `source`, `recordId`, `given` (what overrides the Company), `sendInvite`."""


@dataclass(frozen=True, slots=True)
class Kyb:
    """The recipe's steps, with what they work with."""

    setup: KybSetup
    fml: FmlApi
    cases: Cases
    companies: CompanyAccess

    def recipe(self) -> Recipe:
        return Recipe(
            KYB,
            1,
            (
                Step("read-company", self.read_company),
                Step("check-input", self.check_input),
                Step("create-case", self.create_case, has_side_effect=True),
                Step("write-back", self.write_back, has_side_effect=True),
            ),
            result_of,
        )

    async def read_company(self, turn: StepContext) -> dict[str, Any]:
        """What the Company says, where the kickoff did not."""
        run, settings = turn.run, await self._settings(turn.run)
        reader = None
        if run.user_ref is not None:
            reader = self.companies.reader(run.workspace_id, run.app_slug, run.user_ref)
        return {"values": await read_values(reader, settings, run.input)}

    async def check_input(self, turn: StepContext) -> dict[str, Any]:
        """What FML will be sent, if it can be."""
        settings = await self._settings(turn.run)
        values = turn.outcomes["read-company"]["values"]
        return {"request": case_request(settings, turn.run.input, values)}

    async def create_case(self, turn: StepContext) -> dict[str, Any]:
        """Make the case, or find it."""
        run, request = turn.run, turn.outcomes["check-input"]["request"]
        settings = await self._settings(run)
        record_id = str(run.input["recordId"])
        await self.cases.open(run, str(run.input["source"]), record_id)
        key = key_of(run.input, request, refused=bool(turn.checkpoint.get("refused")))
        account = settings.account(run.workspace_id)
        try:
            made = await self.fml.create_case(account, key, request, turn.checkpoint)
        except RetryLater as later:
            kept = {**turn.checkpoint, **(later.checkpoint or {})}
            raise RetryLater(later.after_s, later.reason, kept) from later
        except (InputRefused, IdempotencyKeyConflict) as refusal:
            met = int(turn.checkpoint.get("conflicts", 0))
            if (
                turn.outcome_unknown
                and met < CONFLICTS
                and isinstance(refusal, IdempotencyKeyConflict)
            ):
                # The attempt whose end is not known may still be under way there.
                raise RetryLater(
                    2, refusal.code, {**turn.checkpoint, "conflicts": met + 1}
                ) from refusal
            raise PermanentFailure(refusal, {"refused": True}) from refusal
        case = {name: text_of(made.case.get(name)) for name in SHOWN}
        await self.cases.record_case(run, str(case["caseId"]), case["status"], record_id)
        # A replay of what this very run asked for, whose answer was lost, is still its own.
        return {"case": case, "created": not made.existed or turn.outcome_unknown}

    async def write_back(self, turn: StepContext) -> dict[str, Any]:
        """Let the Company show its case."""
        run = turn.run
        state = await self.cases.of_run(run.workspace_id, run.id)
        if run.user_ref is None or state is None:
            return {"writtenBack": False, "why": "no HubSpot connection"}
        changes = company_changes(await self._settings(run), state)
        if not changes:
            return {"writtenBack": False, "why": "nothing is to be written"}
        writer = self.companies.writer(run.workspace_id, run.app_slug, run.user_ref)
        try:
            found = await writer.update(str(run.input["recordId"]), changes)
        except InputRefused as refusal:  # there is a case all the same
            context = {**refusal.context, "caseId": state.case_id}
            raise InputRefused(refusal.detail, **context) from refusal
        return {"writtenBack": found, "why": None if found else "the Company is gone"}

    async def _settings(self, run: Run) -> KybSettings:
        return await self.setup.of_app(run.workspace_id, run.app_id)


async def read_values(
    reader: CompanyReader | None, settings: KybSettings, given: Input
) -> dict[str, str | None]:
    """What FML should be sent, by its field: as given, else as the Company has it."""
    said = {name: value for name, value in given["given"].items() if value is not None}
    if reader is None:
        return {name: said.get(name) for name in READ}
    names = sorted({settings.properties[name] for name in READ if name not in said})
    found = await reader.read(str(given["recordId"]), names)
    return {name: said.get(name, found.get(settings.properties[name])) for name in READ}


def case_request(
    settings: KybSettings, given: Input, values: Mapping[str, str | None]
) -> dict[str, Any]:
    """The body of `POST /v1/cases`. Raises InputRefused, naming what is missing or wrong."""
    trimmed = {name: (value or "").strip() for name, value in values.items()}
    email = trimmed["customerEmail"]
    if not EMAIL.fullmatch(email) or len(email) > 254:
        company = given["source"] == HUBSPOT and given["given"].get("customerEmail") is None
        field = settings.properties["customerEmail"] if company else "customerEmail"
        wrong = "is not an e-mail address" if email else "is empty"
        where = "on the Company " if company else ""
        raise InputRefused(
            f"{field} {wrong} {where}(customerEmail at First Mile Labs). Correct it, then start "
            "again.",
            errors=[{"field": field, "message": f"{wrong} {where}".strip()}],
        )
    invite = given.get("sendInvite")
    return {
        **{name: value for name, value in trimmed.items() if value},
        "crmRecordId": str(given["recordId"]),
        "crmSource": given["source"],
        "sendInvite": settings.send_invite if invite is None else invite,
    }


def key_of(given: Input, request: Mapping[str, Any], *, refused: bool) -> str:
    """The Idempotency-Key: fixed for a record, until FML refused something under it."""
    key = f"{given['source']}-{given['recordId']}"
    if not refused:
        return key
    text = json.dumps(request, sort_keys=True)
    return f"{key}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def company_changes(settings: KybSettings, state: CaseState) -> dict[str, str]:
    """What the Company should show, by its properties."""
    moment = state.last_event_at
    facts = {
        "caseId": state.case_id,
        "status": state.status,
        "stage": state.stage,
        "decision": state.decision,
        "lastEventAt": f"{moment:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z" if moment else None,
    }
    return {
        name: value
        for field, value in facts.items()
        if value is not None and (name := settings.write_back.get(field)) is not None
    }


def result_of(turn: StepContext) -> dict[str, Any]:
    """What a kickoff is answered."""
    made, written = turn.outcomes["create-case"], turn.outcomes["write-back"]
    given = turn.run.input
    return {
        "ok": True,
        **made["case"],
        "created": made["created"],
        "crmRecordId": given["recordId"],
        "crmSource": given["source"],
        "writtenBack": written["writtenBack"],
    }
