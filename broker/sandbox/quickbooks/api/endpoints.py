"""`/v3/company/{realmId}`: who may call, reading, writing, queries and changes since a moment."""

from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from broker.sandbox.core.decimals import loads
from broker.sandbox.quickbooks.api import problems
from broker.sandbox.quickbooks.api.finding import find
from broker.sandbox.quickbooks.api.query import parse
from broker.sandbox.quickbooks.api.rendering import accepts_json, answer
from broker.sandbox.quickbooks.books import invoices
from broker.sandbox.quickbooks.books.company import Company, SavedAnswer
from broker.sandbox.quickbooks.books.entities import BY_LOWER_NAME, Entity
from broker.sandbox.quickbooks.books.writing import current, write
from broker.sandbox.quickbooks.oauth.grants import ACCOUNTING, AccessToken
from broker.sandbox.quickbooks.world import QuickBooks

REQUEST_ID_LENGTH = 50
CDC_DAYS, CDC_ROWS = 30, 1000
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


class ApiEndpoints:
    """The accounting API."""

    def __init__(self, world: QuickBooks) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module. Fixed paths come before those with a variable."""
        base = "/v3/company/{realmId}"
        return [
            web.get(f"{base}/query", self.query),
            web.post(f"{base}/query", self.query),
            web.get(f"{base}/cdc", self.changes),
            web.get(f"{base}/preferences", self.preferences),
            web.get(f"{base}/invoice/{{id}}/pdf", self.pdf),
            web.post(f"{base}/invoice/{{id}}/send", self.send),
            web.get(f"{base}/{{entity}}/{{id}}", self.read),
            web.post(f"{base}/{{entity}}", self.write),
        ]

    async def query(self, request: web.Request) -> web.Response:
        """Answer a statement, from the query string or the body."""
        company = self._company(request)
        text = request.query.get("query", "")
        if request.method == "POST":
            if request.content_type not in {"application/text", "text/plain"}:
                raise problems.query_syntax(request.content_type, 1)
            text = (await request.read()).decode()
        return self._answer(request, {"QueryResponse": find(company, parse(text))})

    async def changes(self, request: web.Request) -> web.Response:
        """What was changed or deleted since a moment, by entity."""
        company = self._company(request)
        since = self._since(request)
        responses = []
        for name in request.query.get("entities", "").split(","):
            entity = BY_LOWER_NAME.get(name.strip().lower())
            if entity is None:
                raise problems.query_invalid(f"Invalid entity name {name}")
            found = [
                company.shown(entity.name, each)
                for each in company.all(entity.name)
                if company.touched[entity.name, each["Id"]] >= since
            ]
            found += [
                {"domain": "QBO", "status": "Deleted", "Id": record_id}
                for (kind, record_id), at in company.deleted.items()
                if kind == entity.name and at >= since
            ]
            page: dict[str, Any] = {}
            if found:
                rows = found[:CDC_ROWS]
                page = {entity.name: rows, "startPosition": 1, "maxResults": len(rows)}
            responses.append(page)
        return self._answer(request, {"CDCResponse": [{"QueryResponse": responses}]})

    async def preferences(self, request: web.Request) -> web.Response:
        """The company's preferences."""
        company = self._company(request)
        return self._answer(request, {"Preferences": company.get("Preferences", "1")})

    async def read(self, request: web.Request) -> web.Response:
        """One record. A company's information is read by the realm's id, or 1."""
        company, entity = self._company(request), _entity(request)
        record_id = request.match_info["id"]
        if entity.name == "CompanyInfo" and record_id == company.realm_id:
            record_id = "1"
        record = company.get(entity.name, record_id)
        if entity.name == "Invoice" and "invoiceLink" in request.query.get("include", ""):
            record = {**record, "InvoiceLink": f"https://connect.intuit.com/t/scs-v1-{record_id}"}
        return self._answer(request, {entity.name: company.shown(entity.name, record)})

    async def pdf(self, request: web.Request) -> web.Response:
        """An invoice as PDF."""
        self._company(request).get("Invoice", request.match_info["id"])
        return web.Response(body=PDF, content_type="application/pdf")

    async def send(self, request: web.Request) -> web.Response:
        """E-mail an invoice."""
        company = self._company(request, writes=True)
        if request.content_type == "application/json":
            # Accepted for an entity without an address, whatever sendTo holds
            # (nextform-app/quickbooks-js #2). Intuit documents application/octet-stream.
            raise problems.missing("DeliveryAddress.Address")
        invoice = company.get("Invoice", request.match_info["id"])
        send_to = request.query.get("sendTo", "")
        sent = invoices.send(company, self._world.levers, invoice, send_to)
        return self._answer(request, {"Invoice": sent})

    async def write(self, request: web.Request) -> web.Response:
        """Create, update, void or delete. The same `requestid` gets the first answer again."""
        company, entity = self._company(request, writes=True), _entity(request)
        sent = _body(await request.read())
        request_id = request.query.get("requestid", "")
        if len(request_id) > REQUEST_ID_LENGTH:
            raise problems.too_long("requestid", REQUEST_ID_LENGTH, len(request_id))
        key = entity.name, request_id
        saved = company.answers.get(key)
        if saved is not None and not self._world.levers.requestid_ignored:
            self._world.count("replays")
            return self._answer(request, saved.body)
        body = {entity.name: self._done(request, company, entity, sent)}
        if request_id:
            company.answers[key] = SavedAnswer(body)
        return self._answer(request, body)

    def _done(
        self, request: web.Request, company: Company, entity: Entity, sent: dict[str, Any]
    ) -> dict[str, Any]:
        operation = request.query.get("operation", "")
        include = request.query.get("include", "")
        levers = self._world.levers
        if not entity.writable or operation not in {"", "create", "update", "delete", "void"}:
            raise _unsupported(f"{entity.name} {operation}")
        if operation in {"delete", "void"}:
            if entity.name != "Invoice":
                raise _unsupported(f"{entity.name} {operation}")
            old = current(company, levers, entity, sent)
            done = invoices.delete if operation == "delete" else invoices.void
            return done(company, old)
        saved = write(company, levers, entity, sent, include)
        self._world.count(f"{entity.name.lower()}s saved")
        return company.shown(entity.name, saved)

    def _company(self, request: web.Request, *, writes: bool = False) -> Company:
        """The company that a request may see. Refuses as Intuit's gateway does."""
        world, realm_id = self._world, request.match_info["realmId"]
        access = self._access(request)
        company = world.companies.get(realm_id)
        if not access.grant.alive:
            raise problems.unauthenticated("Token revoked")
        if company is None or access.grant.realm_id != realm_id:
            raise problems.unauthorized()
        if company.settings.environment != world.levers.environment:
            raise problems.unauthorized()
        if ACCOUNTING not in access.grant.scopes:
            raise problems.unauthorized("InsufficientScope")
        world.admit(access.grant.client_id, realm_id, reads=not writes)
        if not company.settings.access:
            raise problems.access_lost()
        if writes and company.settings.subscription != "active":
            raise problems.subscription_ended()
        return company

    def _access(self, request: web.Request) -> AccessToken:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        access = self._world.grants.access_tokens.get(token)
        if scheme.lower() != "bearer" or access is None:
            raise problems.unauthenticated("Malformed bearer token")
        if self._world.now() < access.issued_at + self._world.levers.propagation:
            raise problems.unauthenticated("Token not known yet")
        if access.expires_at <= self._world.now():
            raise problems.unauthenticated("Token expired")
        return access

    def _since(self, request: web.Request) -> float:
        text = request.query.get("changedSince", "")
        try:
            # A plus that was not encoded arrives as a space.
            since = datetime.fromisoformat(text.replace(" ", "+"))
        except ValueError as wrong:
            raise problems.query_invalid(f"changedSince {text} is not a date and time") from wrong
        now = self._world.moment()
        since = since if since.tzinfo else since.replace(tzinfo=now.tzinfo)
        if since < now - timedelta(days=CDC_DAYS):
            raise problems.business(f"changedSince is more than {CDC_DAYS} days ago.")
        return since.timestamp()

    def _answer(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        json = accepts_json(request, self._world.levers.xml_without_accept)
        return answer(body, self._world.moment(), json=json)


def _entity(request: web.Request) -> Entity:
    name = request.match_info["entity"]
    entity = BY_LOWER_NAME.get(name.lower())
    if entity is None:
        raise _unsupported(name)
    return entity


def _unsupported(what: str) -> problems.QboFault:
    detail = f"Operation {what.strip()} is not supported."
    return problems.QboFault("500", "Unsupported Operation", detail)


def _body(raw: bytes) -> dict[str, Any]:
    try:
        read = loads(raw)
    except ValueError:
        raise problems.unsupported("the body is not JSON") from None
    if not isinstance(read, dict):
        raise problems.unsupported("the body is not an object")
    return read
