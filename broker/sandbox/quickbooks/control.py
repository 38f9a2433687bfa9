"""`/_sandbox` for what only QuickBooks has, and the page at `/` that shows the books."""

from dataclasses import asdict, fields
from typing import Any

from aiohttp import web

from broker.sandbox.core.control.levers import LeverEndpoints
from broker.sandbox.core.control.requests import Handler, guarded, read_object
from broker.sandbox.core.decimals import dumps, loads
from broker.sandbox.quickbooks.api import problems
from broker.sandbox.quickbooks.books import invoices
from broker.sandbox.quickbooks.books.company import Company
from broker.sandbox.quickbooks.books.defaults import plant_own_records, plant_taxes
from broker.sandbox.quickbooks.books.entities import BY_LOWER_NAME, ENTITIES
from broker.sandbox.quickbooks.books.writing import write
from broker.sandbox.quickbooks.levers import Levers, Settings
from broker.sandbox.quickbooks.pages import render
from broker.sandbox.quickbooks.world import QuickBooks

SHOWN = 50


class ControlEndpoints:
    """The control API of QuickBooks."""

    def __init__(self, world: QuickBooks) -> None:
        self._world = world
        actions = {
            "revoke": world.grants.end,
            "expire": lambda _: world.grants.expire_access(),
        }
        targets = (world.levers, world.webhooks.ways)
        self._levers = LeverEndpoints(world, world.webhooks.deliveries, targets, actions)

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        company = "/_sandbox/companies/{realmId}"
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/", self.home),
            ("POST", "/_sandbox/apps", self.put_app),
            ("POST", "/_sandbox/events", self.send_events),
            ("GET", "/_sandbox/companies", self.companies),
            ("POST", company, self.put_company),
            ("POST", f"{company}/names", self.occupy_name),
            ("POST", f"{company}/invoices/{{id}}/pay", self.pay),
            ("POST", f"{company}/entities/{{entity}}", self.write),
            ("DELETE", f"{company}/entities/{{entity}}/{{id}}", self.delete),
        ]
        own = [web.route(method, path, guarded(handler)) for method, path, handler in table]
        return [*own, *self._levers.routes()]

    async def home(self, _request: web.Request) -> web.Response:
        """Show companies with their customers and invoices, apps and levers."""
        world = self._world
        companies = [
            {
                "realm_id": realm_id,
                "settings": asdict(company.settings),
                "customers": [company.shown("Customer", each) for each in company.all("Customer")][
                    -SHOWN:
                ],
                "invoices": list(company.all("Invoice"))[-SHOWN:],
            }
            for realm_id, company in world.companies.items()
        ]
        return render(
            "home.html",
            companies=companies,
            apps=world.grants.apps.values(),
            levers=self._levers.values(),
            seen=list(world.seen)[:-SHOWN:-1],
            sent=list(world.webhooks.deliveries.sent)[:-SHOWN:-1],
        )

    async def put_app(self, request: web.Request) -> web.Response:
        """Make or replace an app: clientId, clientSecret, redirectUris, verifierToken, webhookUrl,
        entities.
        """
        payload = await read_object(request)
        app = self._world.register_app(
            payload["clientId"],
            payload["clientSecret"],
            list(payload["redirectUris"]),
            str(payload.get("verifierToken", "")),
            str(payload.get("webhookUrl", "")),
        )
        app.entities = list(payload.get("entities", []))
        return web.json_response({"clientId": app.client_id}, status=201)

    async def send_events(self, request: web.Request) -> web.Response:
        """Send an app a webhook body unchanged: clientId, body."""
        payload = await read_object(request)
        app = self._world.grants.apps[payload["clientId"]]
        return web.json_response(
            {"id": self._world.webhooks.send(app, payload["body"])}, status=202
        )

    async def companies(self, _request: web.Request) -> web.Response:
        """List the companies with their settings."""
        return web.json_response(
            {each: asdict(company.settings) for each, company in self._world.companies.items()}
        )

    async def put_company(self, request: web.Request) -> web.Response:
        """Make a company, or change its settings by their names. Another country gives it that
        country's tax codes.
        """
        payload, realm_id = await read_object(request), request.match_info["realmId"]
        unknown = set(payload) - {each.name for each in fields(Settings)}
        if unknown:
            raise ValueError(f"no such setting: {', '.join(sorted(unknown))}")
        company = self._world.companies.get(realm_id)
        if company is None:
            self._world.add_company(realm_id, Settings(**payload))
            return web.json_response({"realmId": realm_id}, status=201)
        moved = payload.get("country", company.settings.country) != company.settings.country
        for name, value in payload.items():
            setattr(company.settings, name, value)
        if moved:
            plant_taxes(company)
        plant_own_records(company)
        return web.json_response({"realmId": realm_id})

    async def occupy_name(self, request: web.Request) -> web.Response:
        """Let a name be taken: name, by (vendor, employee or inactive)."""
        payload, company = await read_object(request), self._company(request)
        by = payload["by"]
        entity = {"vendor": "Vendor", "employee": "Employee", "inactive": "Customer"}[by]
        made = write(company, Levers(), ENTITIES[entity], {"DisplayName": payload["name"]}, "")
        if by == "inactive":
            # Older companies have inactive names without the suffix, which block all the same.
            company.save(ENTITIES[entity], {**made, "Active": False})
        return web.json_response({"id": made["Id"]}, status=201)

    async def pay(self, request: web.Request) -> web.Response:
        """Record a payment for an invoice: amount, or the whole balance."""
        payload = await read_object(request)
        paid = invoices.pay(self._company(request), request.match_info["id"], payload.get("amount"))
        return _json(paid)

    async def write(self, request: web.Request) -> web.Response:
        """Create or change a record as a person does, without a sync token."""
        company, entity = self._company(request), BY_LOWER_NAME[request.match_info["entity"]]
        payload: dict[str, Any] = loads(await request.read())
        if "Id" in payload:
            token = company.get(entity.name, str(payload["Id"]))["SyncToken"]
            payload = {**payload, "SyncToken": token, "sparse": True}
        try:
            return _json(write(company, Levers(), entity, payload, ""))
        except problems.QboFault as fault:
            return _json(fault.body, fault.status)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a record as a person does."""
        entity = BY_LOWER_NAME[request.match_info["entity"]]
        self._company(request).delete(entity.name, request.match_info["id"])
        return web.Response(status=204)

    def _company(self, request: web.Request) -> Company:
        return self._world.companies[request.match_info["realmId"]]


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(text=dumps(body), status=status, content_type="application/json")
