"""What HubSpot's answers about records mean."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from broker.crm.object_types import label
from broker.errors import BrokerError, InputRefused, InvalidRequest, ScopesMissing


def record_path(object_type: str, record_id: str) -> str:
    """Where a record is."""
    return f"/crm/v3/objects/{quote(object_type)}/{quote(record_id, safe='')}"


def properties_rejected(
    object_type: str, properties: Mapping[str, Any], payload: Mapping[str, Any]
) -> InputRefused:
    """The refusal for properties that HubSpot rejects, naming them."""
    text = json.dumps(payload)
    rejected = [name for name in properties if name in text]
    return InputRefused(
        f"HubSpot rejected what should be written to the {label(object_type)}. Run the recipe's "
        "setup, which creates missing properties, then retry the run.",
        errors=[
            {"field": name, "message": "rejected by HubSpot"}
            for name in rejected or list(properties)
        ],
    )


def raise_for_status(status: int, payload: Mapping[str, Any]) -> None:
    """Raise ScopesMissing or InvalidRequest for a refusal of HubSpot's."""
    if status < 300:
        return
    category = payload.get("category")
    if status in {401, 403}:
        text = json.dumps(payload.get("errors", []))[:300]
        scopes = f": {text}" if category == "MISSING_SCOPES" else ""
        raise ScopesMissing(
            "HubSpot does not allow this connection to do that. Add the scopes to the app, have "
            f"the user connect again, then retry{scopes}."
        )
    refusal: BrokerError = InvalidRequest(f"HubSpot answered {status}: {str(category)[:100]}.")
    raise refusal
