"""What Xero's refusals mean, and what a person should do about each.

A refusal is 400 with `Elements[].ValidationErrors[]`, or 200 with such errors inside.
"""

from collections.abc import Iterator
from typing import Any

from broker.crm.partners import PartnerAnswer
from broker.errors import InputRefused, ProviderUnavailable, ScopesMissing

NAME_TAKEN = "already assigned to another contact"
NUMBER_TAKEN = "must be unique"
EMPTY = frozenset({204})

RENUMBER = (
    "Another invoice in Xero has this number. Put another numberPrefix into the settings, or "
    "change that invoice's number, then retry."
)
REMEDIES = (
    ("has been archived", "Restore the contact in Xero (Contacts, Archived), then retry."),
    ("lock date", "Move the lock date in Xero (Accounting, Advanced, Financial settings), retry."),
    ("subscribed to currency", "Add the currency in Xero (Settings, Currencies), then retry."),
    ("Account code", "Put the code of an active revenue account into the settings, then retry."),
    ("Item code", "Put the code of an item that Xero has into the settings, then retry."),
    ("ax type", "Put a tax type that the organisation has into taxCode, then retry."),
    ("TaxType", "Put a tax type that the organisation has into taxCode, then retry."),
    (NUMBER_TAKEN, RENUMBER),
    (NAME_TAKEN, "Rename the other contact in Xero, then retry."),
    ("mail", "Correct the contact's e-mail address in HubSpot, then retry."),
)
OTHERWISE = "Correct it in Xero or in the settings, then retry."


def messages_of(answer: PartnerAnswer) -> list[str]:
    """Xero's sentences about why it refuses; none for a success."""
    payload = answer.payload if isinstance(answer.payload, dict) else {}
    found = list(dict.fromkeys(_messages(payload)))
    if answer.status >= 400 and not found:
        found = [str(payload.get("Message") or payload.get("Detail") or answer.status)]
    return found


def _messages(payload: dict[str, Any]) -> Iterator[str]:
    for name in ("Elements", "Invoices", "Contacts"):
        for element in payload.get(name) or ():
            for error in element.get("ValidationErrors") or ():
                yield str(error.get("Message", ""))


def raise_for(answer: PartnerAnswer) -> None:
    """Raise what a refusal means: InputRefused, ScopesMissing, or ProviderUnavailable."""
    messages = messages_of(answer)
    if not messages:
        if answer.status not in EMPTY and not isinstance(answer.payload, dict):
            raise ProviderUnavailable("Xero's answer is not what it should be.")
        return
    refusal_text = " ".join(messages)[:400]
    vendor_error = {"status": answer.status, "message": refusal_text}
    if answer.status in {401, 403}:
        raise ScopesMissing(
            "Xero does not let this connection do that: the organisation was disconnected there, "
            "or the app lacks a scope (accounting.contacts, accounting.invoices, "
            "accounting.settings). Have the user connect again, then retry.",
            vendorError=vendor_error,
        )
    remedies = [remedy for part, remedy in REMEDIES if part in refusal_text]
    text = (
        f"Xero refuses this: {refusal_text.rstrip('. ')}. {remedies[0] if remedies else OTHERWISE}"
    )
    raise InputRefused(
        text, errors=[{"field": "invoice", "message": text}], vendorError=vendor_error
    )
