"""The runs that should exist: one for each version of a record that was reported or asked about."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from broker.crm.partners import PartnerUser
from broker.crm.records import HubSpotUser
from broker.domain.runs import Run, RunRequest
from broker.recipes.leads.models import NAME, Side

PROVIDER = Side.SALESFORCE.value
STEP = "synchronise"
"""The recipe's only step."""


def run_request(
    app_id: UUID,
    user: HubSpotUser,
    partner: PartnerUser,
    subject: str,
    fields: Mapping[str, Any],
) -> RunRequest:
    """A run for something of one org's, for one HubSpot account."""
    return RunRequest(
        user.workspace_id,
        app_id,
        NAME,
        f"{user.hub_id}-{partner.account_id}:{subject}",
        user.user_ref,
        user.hub_id,
        {**fields, "salesforceApp": partner.app_slug, "org": partner.account_id},
    )


def contact_request(
    app_id: UUID,
    user: HubSpotUser,
    partner: PartnerUser,
    contact_id: str,
    version: str,
    **more: str,
) -> RunRequest:
    """A run for a version of a contact."""
    subject = f"contact:{contact_id}@{version}"
    return run_request(app_id, user, partner, subject, {"contactId": contact_id, **more})


def lead_request(
    app_id: UUID, user: HubSpotUser, partner: PartnerUser, lead_id: str, version: str, **more: str
) -> RunRequest:
    """A run for a version of a lead."""
    subject = f"lead:{lead_id}@{version}"
    return run_request(app_id, user, partner, subject, {"leadId": lead_id, **more})


def partner_of(run: Run) -> PartnerUser:
    """The user of the org in which a run began."""
    return PartnerUser(
        run.workspace_id,
        run.input["salesforceApp"],
        run.user_ref or "",
        PROVIDER,
        run.input["org"],
    )


def since_request(
    app_id: UUID, user: HubSpotUser, partner: PartnerUser, since: datetime, side: Side
) -> RunRequest:
    """A run for the records of one side that have changed since a moment."""
    subject = "since" if side is Side.SALESFORCE else "contacts-since"
    fields = {"since": since.isoformat(), "side": side.value}
    return run_request(app_id, user, partner, f"{subject}:{since.isoformat()}", fields)


def version_of(*records: object) -> str:
    """Changes with the records' values, of which it shows nothing."""
    text = json.dumps(records, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
