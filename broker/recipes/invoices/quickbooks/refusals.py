"""What QuickBooks' refusals mean, and what a person should do about each.

Intuit has two envelopes: `Fault.Error[]` of the API, and `fault.error[]` of the gateway before it.
"""

from collections.abc import Mapping
from typing import Any

from broker.crm.partners import PartnerAnswer
from broker.errors import BrokerError, InputRefused, ProviderUnavailable, ScopesMissing

NOT_FOUND, DUPLICATE_NUMBER, DUPLICATE_NAME = "610", "6140", "6240"

RECONNECT = "Have the user connect QuickBooks again, then retry."
REMEDIES = {
    "610": "Something that the invoice names was deleted. Run the recipe's check, then retry.",
    "2500": (
        "The item, the tax code or the customer is inactive or gone. Run the recipe's check, "
        "correct the settings or make it active in QuickBooks, then retry."
    ),
    "5010": "Somebody changed the same record in QuickBooks at this moment. Retry.",
    "6000": "Correct it in QuickBooks or in the settings, then retry.",
    "6140": (
        "Another invoice in QuickBooks has this number. Put another numberPrefix into the "
        "settings, or change that invoice's number, then retry."
    ),
    "6190": (
        "The company's QuickBooks subscription has ended or has a billing problem. Have its owner "
        "renew it, then retry."
    ),
    "6210": (
        "The books are closed for this date. Move the closing date in QuickBooks (Account and "
        "settings, Advanced, Accounting), then retry."
    ),
    "6240": "Another customer, vendor or employee in QuickBooks has this name. Rename it, retry.",
    "6440": "The invoice has a payment or a deposit. Undo that in QuickBooks first, then retry.",
    "6540": "The invoice has a payment or a deposit. Undo that in QuickBooks first, then retry.",
}
MAPPING = "A field of the deal or of the contact does not fit. Correct it in HubSpot, then retry."
CONNECTION = {
    "100": f"QuickBooks does not accept the connection. {RECONNECT}",
    "3200": f"QuickBooks does not accept the connection. {RECONNECT}",
    "3100": (
        "QuickBooks does not let this connection into the company: it was disconnected there, or "
        f"the app's environment is the other one. {RECONNECT}"
    ),
    "120": (
        "The person who connected QuickBooks has no access to the company any more. Have one who "
        "has connect again, then retry."
    ),
}
SYSTEM_FAILURE = "10000"


def code_of(answer: PartnerAnswer) -> str | None:
    """The code of a refusal; None for a success."""
    return None if answer.status < 400 else str(_error_of(answer).get("code", ""))


def raise_for(answer: PartnerAnswer) -> None:
    """Raise what a refusal means: InputRefused, ScopesMissing, or ProviderUnavailable."""
    if answer.status < 400:
        if not isinstance(answer.payload, dict):
            raise ProviderUnavailable("QuickBooks' answer is not what it should be.")
        return
    error = _error_of(answer)
    code, words = str(error.get("code", "")), str(error.get("detail") or error.get("message") or "")
    vendor_error = {"status": answer.status, "code": code, "message": words[:500]}
    if code == SYSTEM_FAILURE:
        raise ProviderUnavailable("QuickBooks had a failure of its own (10000).")
    refusal: BrokerError
    if code in CONNECTION or answer.status in {401, 403}:
        text = CONNECTION.get(code, CONNECTION["3100"])
        refusal = ScopesMissing(text, vendorError=vendor_error)
    else:
        refusal_text = f"QuickBooks refuses this ({code or answer.status}): {words[:300]}"
        text = f"{refusal_text.rstrip('. ')}. {REMEDIES.get(code, MAPPING)}"
        refusal = InputRefused(
            text,
            errors=[{"field": code or str(answer.status), "message": text}],
            vendorError=vendor_error,
        )
    raise refusal


def _error_of(answer: PartnerAnswer) -> Mapping[str, Any]:
    """The first error of either envelope, with lower-case names."""
    payload = answer.payload if isinstance(answer.payload, dict) else {}
    fault = payload.get("Fault") or payload.get("fault") or {}
    errors = fault.get("Error") or fault.get("error") or [{}]
    first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
    return {name.lower(): value for name, value in first.items()}
