"""What Salesforce's refusals mean for the recipe.

Errors are a list of `{"message", "errorCode", "fields"}`
(https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm).
"""

import random
import re
from collections.abc import Mapping
from typing import Any

from broker.crm.partners import PartnerAnswer
from broker.domain.runs import RetryLater, VendorUnavailable
from broker.errors import BrokerError, InputRefused, ScopesMissing

LOCKED_S = (1.0, 5.0)
"""For how many seconds a row that another transaction locks is left alone."""

BUDGET_S = 600.0
GONE = frozenset({"NOT_FOUND", "ENTITY_IS_DELETED"})
OWNER_REFUSED = frozenset(
    {
        "INACTIVE_OWNER_OR_USER",
        "INVALID_CROSS_REFERENCE_KEY",
        "MALFORMED_ID",
        "TRANSFER_REQUIRES_READ",
    }
)
NO_API = frozenset({"API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED"})
FIELDS_CHANGED = frozenset({"INVALID_FIELD", "INVALID_FIELD_FOR_INSERT_UPDATE"})
SESSION_OVER = "Session expired or invalid"
_LEAD_ID = re.compile(r"\b00Q[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?\b")


class FieldsChanged(VendorUnavailable):
    """Salesforce's fields have changed since they were described."""


class LeadTaken(Exception):
    """Salesforce has a lead for this contact already; `lead_id` None: it is not one lead."""

    def __init__(self, lead_id: str | None, text: str) -> None:
        super().__init__(text)
        self.lead_id = lead_id
        self.text = text


class OwnerRefused(Exception):
    """Salesforce does not let this owner have the lead."""


class LeadConverted(Exception):
    """The lead was converted, so nothing writes to it any more."""


class LeadGone(Exception):
    """The lead was deleted, or merged into another."""


class LeadChanged(Exception):
    """Somebody has written the lead since it was read; nothing was written."""


def error_of(answer: PartnerAnswer) -> Mapping[str, Any]:
    """The first error of a refusal; empty where there is none."""
    payload = answer.payload
    first = payload[0] if isinstance(payload, list) and payload else payload
    return first if isinstance(first, dict) else {}


def raise_refusal(answer: PartnerAnswer, sent: Mapping[str, Any]) -> None:
    """Raise what a refusal means; `sent` is what should have been written."""
    if answer.status == 300:
        raise LeadTaken(None, "Several leads have this contact's external id.")
    if answer.status == 412:
        raise LeadChanged
    error = error_of(answer)
    code, text = str(error.get("errorCode", "")), str(error.get("message", ""))[:300]
    _raise_known(code, text, error, sent)
    if code == "UNABLE_TO_LOCK_ROW":
        raise RetryLater(random.uniform(*LOCKED_S), "the record is locked")  # noqa: S311
    if code == "REQUEST_LIMIT_EXCEEDED":
        raise RetryLater(BUDGET_S, "the org's calls are used up")
    if "external ID field" in text:
        raise InputRefused(
            "The lead's external id field does not exist, or the connected user may not see it. "
            "Make it in Salesforce (Setup, Object Manager, Lead, Fields: text, 64 characters, "
            "external id, unique, case sensitive), give the user access to it, then retry."
        )
    if code in GONE:
        raise LeadGone
    if code in FIELDS_CHANGED:
        raise FieldsChanged(f"Salesforce's fields have changed: {text}")
    if answer.status == 401 and text == SESSION_OVER:
        # Ended again just after the renewal, which the next attempt finds; whether the grant has
        # ended too, a renewal tells.
        raise VendorUnavailable(f"Salesforce does not accept a new session: {text}")
    if answer.status == 401 or code in NO_API:
        refusal: BrokerError = ScopesMissing(f"Salesforce does not allow calls: {text}")
        raise refusal
    fields = [str(each) for each in error.get("fields") or ()]
    raise InputRefused(
        f"Salesforce refused what should be written: {text} ({code or answer.status})",
        errors=[{"field": name, "message": "refused by Salesforce"} for name in fields or [code]],
    )


def _raise_known(code: str, text: str, error: Mapping[str, Any], sent: Mapping[str, Any]) -> None:
    """Raise what the recipe has an answer to by itself."""
    if code == "DUPLICATE_VALUE":
        found = _LEAD_ID.search(text)
        raise LeadTaken(None if found is None else found[0], text)
    if code == "DUPLICATES_DETECTED":
        raise LeadTaken(_single_match(error), text)
    if code in OWNER_REFUSED and "OwnerId" in sent:
        raise OwnerRefused(text)
    if code == "CANNOT_UPDATE_CONVERTED_LEAD":
        raise LeadConverted


def _single_match(error: Mapping[str, Any]) -> str | None:
    """The lead that a duplicate rule found, if it is the only record found."""
    result = error.get("duplicateResult") or {}
    found = [
        (str(each.get("entityType")), str(match["record"]["Id"]))
        for each in result.get("matchResults") or ()
        for match in each.get("matchRecords") or ()
    ]
    return found[0][1] if len(found) == 1 and found[0][0] == "Lead" else None
