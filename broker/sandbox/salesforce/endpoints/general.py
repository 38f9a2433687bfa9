"""Versions, resources, limits, the list of objects, and the one call of the Tooling API that makes
a field.
"""

from typing import Any

from aiohttp import web

from broker.sandbox.salesforce.endpoints.access import (
    NEWEST,
    OLDEST,
    Call,
    Handler,
    authenticated,
)
from broker.sandbox.salesforce.endpoints.shown import saved, summary
from broker.sandbox.salesforce.errors import ApiError, json_response
from broker.sandbox.salesforce.oauth.parameters import identity_url
from broker.sandbox.salesforce.schema.fields import Field
from broker.sandbox.salesforce.world import Salesforce

DATA = r"/services/data/v{version:[\d.]+}"
RESOURCES = (
    "sobjects",
    "query",
    "queryAll",
    "parameterizedSearch",
    "limits",
    "composite",
    "tooling",
)
TYPES = {
    "Text": "string",
    "Email": "email",
    "Phone": "phone",
    "Number": "double",
    "Checkbox": "boolean",
    "Date": "date",
    "DateTime": "datetime",
    "LongTextArea": "textarea",
}


class GeneralEndpoints:
    """Everything below `/services/data` that is about no record."""

    def __init__(self, world: Salesforce) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        table = [
            ("GET", DATA, self.resources),
            ("GET", f"{DATA}/limits", self.limits),
            ("GET", f"{DATA}/sobjects", self.objects),
            ("POST", f"{DATA}/tooling/sobjects/CustomField", self.make_field),
        ]
        guarded: list[tuple[str, str, Handler]] = [
            (method, path, authenticated(self._world, operation))
            for method, path, operation in table
        ]
        return [
            web.get("/services/data", self.versions),
            *(
                web.route(method, each, handler)
                for method, path, handler in guarded
                for each in (path, f"{path}/")
            ),
        ]

    async def versions(self, _request: web.Request) -> web.Response:
        """List the versions, which needs no session."""
        return json_response(
            [
                {"label": f"v{each}", "url": f"/services/data/v{each}.0", "version": f"{each}.0"}
                for each in range(OLDEST, NEWEST + 1)
            ]
        )

    async def resources(self, call: Call) -> web.Response:
        """List what a version has."""
        body = {name: f"{call.base}/{name}" for name in RESOURCES}
        return json_response(
            {**body, "identity": identity_url(self._world, call.org, call.session.user_id)}
        )

    async def limits(self, call: Call) -> web.Response:
        """Show what remains of the org's limits."""
        budget = call.org.levers.api_budget
        left = max(0, budget - call.org.used_calls())
        return json_response(
            {
                "DailyApiRequests": {"Max": budget, "Remaining": left},
                "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000},
                "DataStorageMB": {"Max": 5, "Remaining": 5},
            }
        )

    async def objects(self, call: Call) -> web.Response:
        """List the objects."""
        kinds = [summary(call.base, kind) for kind in call.org.objects.values()]
        return json_response({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": kinds})

    async def make_field(self, call: Call) -> web.Response:
        """Make a custom field. It is invisible until field-level security grants it."""
        org, body = call.org, await call.body()
        if call.session.user_id not in org.admins:
            problem = "insufficient access rights on cross-reference id"
            raise ApiError(403, "INSUFFICIENT_ACCESS", problem, [])
        sobject, _, name = str(body.get("FullName", "")).partition(".")
        metadata: dict[str, Any] = body.get("Metadata", {})
        if not isinstance(metadata, dict) or not isinstance(metadata.get("length", 0), int):
            raise ApiError(400, "JSON_PARSER_ERROR", "Metadata must be an object")
        if sobject.lower() not in org.objects or not name.endswith("__c"):
            raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", f"Entity {sobject} or its field", [])
        if metadata.get("type") not in TYPES:
            problem = f"Invalid field type: {metadata.get('type')}"
            raise ApiError(400, "FIELD_INTEGRITY_EXCEPTION", problem, ["Metadata"])
        made = Field(
            name,
            str(metadata.get("label", name)),
            TYPES[metadata["type"]],
            metadata.get("length", 0),
            external_id=metadata.get("externalId") is True,
            unique=metadata.get("unique") is True,
            case_sensitive=metadata.get("caseSensitive") is True,
            default=False if metadata["type"] == "Checkbox" else None,
        )
        try:
            org.add_field(sobject, made, visible=False)
        except ValueError as exists:
            raise ApiError(400, "DUPLICATE_DEVELOPER_NAME", str(exists), ["FullName"]) from exists
        made_id = org.next_id("CustomField")
        return json_response(saved(made_id, warnings=[], infos=[]), 201)
