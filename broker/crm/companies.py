"""A user's Companies at HubSpot, through the user's connection, its policy and its quota.

There are two kinds of access and no flag: a reader has nothing that writes, and what it sends is
judged by the proxy as a caller's that may only read.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4

from broker.domain.model import Caller, ProxyCall
from broker.domain.runs import RetryLater
from broker.errors import (
    BrokerError,
    HubSpotUnavailable,
    InputRefused,
    InvalidRequest,
    ScopesMissing,
)
from broker.providers.hubspot.client import read_body
from broker.services.proxy.forwarding import Proxy

ANSWER_BYTES = 8 * 1_048_576
RECIPES = UUID(int=0x726563697065)
"""Who is calling, in logs: "recipe" in ASCII."""

COMPANIES = "/crm/v3/objects/companies"
PROPERTIES = "/crm/v3/properties/companies"
LONGEST_HOLD_S = 600.0


class CompanyReader:
    """Reads Companies as one user; there is nothing here that could change one."""

    _scope = "proxy:read"

    def __init__(self, proxy: Proxy, workspace_id: UUID, slug: str, user_ref: str) -> None:
        self._proxy = proxy
        self._caller = Caller(workspace_id, RECIPES, frozenset({self._scope}), None)
        self._slug = slug
        self._user_ref = user_ref

    async def read(self, company_id: str, names: Sequence[str]) -> dict[str, str | None]:
        """Properties of a Company; those that HubSpot does not know are missing.

        Raises InputRefused when there is no such Company, and what `_ask` raises.
        """
        query = urlencode({"properties": ",".join(names)})
        status, said = await self._ask("GET", f"{COMPANIES}/{quote(company_id)}?{query}")
        if status == 404:
            raise InputRefused(
                f"HubSpot has no Company {company_id} in this account.",
                errors=[{"field": "companyId", "message": "is no Company of this account"}],
            )
        _check(status, said)
        properties = said.get("properties")
        return properties if isinstance(properties, dict) else {}

    async def property_names(self) -> set[str]:
        """The properties that Companies have."""
        status, said = await self._ask("GET", PROPERTIES)
        _check(status, said)
        return {each["name"] for each in said.get("results", ())}

    async def _ask(self, method: str, target: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """HubSpot's answer. Raises what `Proxy.forward` does, and Later when HubSpot throttles."""
        headers = [("Accept", "application/json"), ("Content-Type", "application/json")]
        raw = None if body is None else json.dumps(body).encode()
        call = ProxyCall(
            self._slug, self._user_ref, method, target, headers, raw, request_id=uuid4().hex
        )
        try:
            async with self._proxy.forward(self._caller, call) as answer:
                status, given = answer.status, dict(answer.headers)
                text = await read_body(answer, ANSWER_BYTES)
        except BrokerError as refusal:
            if refusal.status == 429:  # the account's quota is used up for the moment
                raise RetryLater(refusal.retry_after or 2, refusal.code) from refusal
            raise
        if status == 429:
            asked = {name.lower(): value for name, value in given.items()}.get("retry-after", "")
            wait = float(asked[:5]) if asked.isascii() and asked.isdecimal() else 2.0
            raise RetryLater(min(max(wait, 1.0), LONGEST_HOLD_S), "HubSpot is throttling")
        if status >= 500 or status in {423, 477}:
            raise HubSpotUnavailable(f"HubSpot answered {status}.")
        try:
            said = json.loads(text) if text else {}
        except ValueError as error:
            raise HubSpotUnavailable("HubSpot's answer is not JSON.") from error
        return status, said if isinstance(said, dict) else {}


class CompanyWriter(CompanyReader):
    """Reads and changes Companies as one user."""

    _scope = "proxy"

    async def update(self, company_id: str, properties: Mapping[str, str]) -> bool:
        """Write properties of a Company; False when it is gone.

        Raises InputRefused when HubSpot does not take a property, naming it, and what `_ask` does.
        """
        target = f"{COMPANIES}/{quote(company_id)}"
        status, said = await self._ask("PATCH", target, {"properties": dict(properties)})
        if status == 404:
            return False
        if status == 400:
            text = json.dumps(said)
            bad = [name for name in properties if name in text] or list(properties)
            raise InputRefused(
                "HubSpot does not take what should be written to the Company. Run the recipe's "
                "setup, which makes the missing properties, then retry the run.",
                errors=[{"field": name, "message": "is not taken by HubSpot"} for name in bad],
            )
        _check(status, said)
        return True

    async def create_property(self, definition: Mapping[str, Any]) -> None:
        """Make a property of Companies; one that is there already stays as it is."""
        status, said = await self._ask("POST", PROPERTIES, definition)
        if status != 409:
            _check(status, said)

    async def complete_action(self, callback_id: str, output: Mapping[str, Any]) -> bool:
        """Complete a workflow action; False when nothing waits for it any more
        (https://developers.hubspot.com/docs/api-reference/latest/automation/workflow-actions).
        """
        target = f"/automation/v4/actions/callbacks/{quote(callback_id, safe='')}/complete"
        status, said = await self._ask("POST", target, {"outputFields": dict(output)})
        if status == 404:
            return False
        _check(status, said)
        return True


def _check(status: int, said: Mapping[str, Any]) -> None:
    """Raise for what HubSpot refuses: ScopesMissing, or what it did not take."""
    if status < 300:
        return
    category = said.get("category")
    if status in {401, 403}:
        text = json.dumps(said.get("errors", []))[:300]
        scopes = f": {text}" if category == "MISSING_SCOPES" else ""
        raise ScopesMissing(
            "HubSpot does not allow this connection to do that. Add the scopes to the app, have "
            f"the user connect again, then retry{scopes}."
        )
    refusal: BrokerError = InvalidRequest(f"HubSpot answered {status}: {str(category)[:100]}.")
    raise refusal


class CompanyAccess:
    """Hands out access to users' Companies."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def reader(self, workspace_id: UUID, slug: str, user_ref: str) -> CompanyReader:
        return CompanyReader(self._proxy, workspace_id, slug, user_ref)

    def writer(self, workspace_id: UUID, slug: str, user_ref: str) -> CompanyWriter:
        return CompanyWriter(self._proxy, workspace_id, slug, user_ref)
