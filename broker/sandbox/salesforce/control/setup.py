"""Setup, as an admin does it in Salesforce's pages: apps, users, fields, security, rules."""

from typing import Any

from aiohttp import web

from broker.sandbox.core.control.requests import Handler, guarded, read_object
from broker.sandbox.salesforce.control.levers import org_of
from broker.sandbox.salesforce.org import ValidationRule
from broker.sandbox.salesforce.schema.fields import Field, PicklistValue
from broker.sandbox.salesforce.world import Salesforce

ACCESS = ("none", "read", "edit")


class SetupEndpoints:
    """What shapes an org before records are in it."""

    def __init__(self, world: Salesforce) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/_sandbox/apps", self.put_app),
            ("POST", "/_sandbox/users", self.put_user),
            ("POST", "/_sandbox/queues", self.add_queue),
            ("POST", "/_sandbox/fields", self.add_field),
            ("POST", "/_sandbox/field-security", self.secure),
            ("POST", "/_sandbox/picklists", self.set_picklist),
            ("POST", "/_sandbox/validation-rules", self.add_rule),
            ("DELETE", "/_sandbox/validation-rules", self.clear_rules),
        ]
        return [web.route(method, path, guarded(handler)) for method, path, handler in table]

    async def put_app(self, request: web.Request) -> web.Response:
        """Make or replace an app: clientId, clientSecret, callbackUrls; also scopes, name, runAs,
        certificate (a public key's PEM), installed, selfAuthorize, approved (usernames).
        """
        payload = await read_object(request)
        rest: dict[str, Any] = {
            name: payload[key]
            for key, name in (
                ("name", "name"),
                ("runAs", "run_as"),
                ("certificate", "certificate"),
                ("installed", "installed"),
                ("selfAuthorize", "self_authorize"),
            )
            if key in payload
        }
        app = self._world.add_app(
            payload["clientId"],
            payload["clientSecret"],
            list(payload["callbackUrls"]),
            payload.get("scopes"),
            approved=set(payload.get("approved", [])),
            **rest,
        )
        return web.json_response({"clientId": app.client_id}, status=201)

    async def put_user(self, request: web.Request) -> web.Response:
        """Add a user, or change the one with this username: username, email, firstName, lastName,
        active, admin.
        """
        payload = await read_object(request)
        org, username = org_of(self._world, payload), str(payload["username"])
        user = org.find_user(username) or org.add_user(username)
        names = {"email": "Email", "firstName": "FirstName", "lastName": "LastName"}
        user.update({name: payload[key] for key, name in names.items() if key in payload})
        user["IsActive"] = bool(payload.get("active", user["IsActive"]))
        org.touch(org.objects["user"], user, "")
        if payload.get("admin"):
            org.admins.add(user["Id"])
        return web.json_response({"id": user["Id"]}, status=201)

    async def add_queue(self, request: web.Request) -> web.Response:
        """Add a queue that may own leads: name."""
        payload = await read_object(request)
        queue = org_of(self._world, payload).add_queue(str(payload["name"]))
        return web.json_response({"id": queue["Id"]}, status=201)

    async def add_field(self, request: web.Request) -> web.Response:
        """Add a custom field: object, name, type, length; also label, externalId, unique,
        caseSensitive, required, visible (true by default).
        """
        payload = await read_object(request)
        kind = str(payload.get("type", "string"))
        made = Field(
            str(payload["name"]),
            str(payload.get("label", payload["name"])),
            kind,
            int(payload.get("length", 255 if kind == "string" else 0)),
            required=bool(payload.get("required")),
            external_id=bool(payload.get("externalId")),
            unique=bool(payload.get("unique")),
            case_sensitive=bool(payload.get("caseSensitive")),
            default=False if kind == "boolean" else None,
        )
        org = org_of(self._world, payload)
        org.add_field(str(payload["object"]), made, visible=bool(payload.get("visible", True)))
        return web.json_response({"name": made.name}, status=201)

    async def secure(self, request: web.Request) -> web.Response:
        """Set field-level security: object, field, access ("none", "read" or "edit")."""
        payload = await read_object(request)
        org, access = org_of(self._world, payload), payload["access"]
        if access not in ACCESS:
            raise ValueError(f"access is one of {', '.join(ACCESS)}")
        kind = org.objects[str(payload["object"]).lower()]
        key = kind.name, kind.fields[str(payload["field"]).lower()].name
        for marked, holds in ((org.hidden, access == "none"), (org.read_only, access == "read")):
            (marked.add if holds else marked.discard)(key)
        return web.Response(status=204)

    async def set_picklist(self, request: web.Request) -> web.Response:
        """Set a picklist: object, field, restricted, values (value, active, default, converted)."""
        payload = await read_object(request)
        org = org_of(self._world, payload)
        kind = org.objects[str(payload["object"]).lower()]
        field = kind.fields[str(payload["field"]).lower()]
        if "restricted" in payload:
            field.restricted = bool(payload["restricted"])
        if "values" in payload:
            values = [PicklistValue(**each) for each in payload["values"]]
            if (kind.name, field.name) == ("Lead", "Status"):
                org.set_statuses(values)
            else:
                field.values = values
        return web.Response(status=204)

    async def add_rule(self, request: web.Request) -> web.Response:
        """Add a validation rule: text, object (Lead by default), field, and `when`, the
        values of fields that it refuses; without `when` it refuses every record.
        """
        payload = await read_object(request)
        org = org_of(self._world, payload)
        kind = org.objects[str(payload.get("object", "Lead")).lower()]
        when = dict(payload.get("when", {}))
        field = str(payload.get("field", ""))
        org.rules.append(ValidationRule(kind.name, str(payload["text"]), when, field))
        return web.json_response({"rules": len(org.rules)}, status=201)

    async def clear_rules(self, request: web.Request) -> web.Response:
        """Remove an org's validation rules."""
        org_of(self._world, dict(request.query)).rules.clear()
        return web.Response(status=204)
