"""`/api.xro/2.0`: lists, single records, saving, and what can be done to an invoice."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from broker.sandbox.xero.api import problems
from broker.sandbox.xero.api.listing import listed
from broker.sandbox.xero.api.rendering import accepts_json, answer, envelope, moment_of
from broker.sandbox.xero.books.organisation import Organisation, Record
from broker.sandbox.xero.books.resources import INVOICE_SCOPES, RESOURCES, SETTING_SCOPES, Resource
from broker.sandbox.xero.books.saving import elements_of, save_all
from broker.sandbox.xero.world import Xero

BASE = "/api.xro/2.0"
VERSIONS = {"GB": "UK", "NZ": "NZ", "AU": "AU", "US": "US"}
REMAINING: web.RequestKey[dict[str, str]] = web.RequestKey("remaining", dict[str, str])

Work = Callable[[Organisation], Awaitable[web.Response]]


class ApiEndpoints:
    """The accounting API."""

    def __init__(self, world: Xero) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module. Fixed paths come before those with a variable."""
        return [
            web.get(f"{BASE}/Organisation", self.organisation),
            web.get(f"{BASE}/Organisations", self.organisation),
            web.post(f"{BASE}/Invoices/{{id}}/Email", self.email),
            web.get(f"{BASE}/Invoices/{{id}}/OnlineInvoice", self.online),
            web.get(f"{BASE}/{{kind}}", self.index),
            web.get(f"{BASE}/{{kind}}/{{id}}", self.read),
            web.put(f"{BASE}/{{kind}}", self.save),
            web.post(f"{BASE}/{{kind}}", self.save),
            web.post(f"{BASE}/{{kind}}/{{id}}", self.save),
        ]

    async def organisation(self, request: web.Request) -> web.Response:
        """The organisation itself."""

        async def work(organisation: Organisation) -> web.Response:
            settings = organisation.settings
            shown = {
                "Name": settings.name,
                "LegalName": settings.name,
                "PaysTax": True,
                "Version": VERSIONS.get(settings.country, "GLOBAL"),
                "OrganisationType": "COMPANY",
                "BaseCurrency": settings.currency,
                "CountryCode": settings.country,
                "IsDemoCompany": False,
                "OrganisationStatus": "ACTIVE",
                "FinancialYearEndDay": 31,
                "FinancialYearEndMonth": 3,
                "SalesTaxBasis": "ACCRUALS",
                "DefaultSalesTax": "Tax Exclusive",
                "CreatedDateUTC": moment_of(1_700_000_000),
                "OrganisationEntityType": "COMPANY",
                "Timezone": "NEWZEALANDSTANDARDTIME",
                "ShortCode": f"!{organisation.tenant_id[:5]}",
                "OrganisationID": organisation.tenant_id,
                "Edition": "BUSINESS",
                "Class": "STANDARD",
                "Addresses": [],
                "Phones": [],
                "ExternalLinks": [],
                "PaymentTerms": {},
            }
            if settings.lock_date:
                shown["PeriodLockDate"] = f"{settings.lock_date}T00:00:00"
            return self._answer(request, "Organisations", [shown])

        return await self._call(request, SETTING_SCOPES, work)

    async def index(self, request: web.Request) -> web.Response:
        """A list."""
        resource = _resource(request)

        async def work(organisation: Organisation) -> web.Response:
            since = request.headers.get("If-Modified-Since", "")
            found, paging = listed(organisation, resource, request.query, since)
            more = {"pagination": paging} if paging is not None else {}
            return self._answer(request, resource.plural, found, **more)

        return await self._call(request, resource.scopes, work)

    async def read(self, request: web.Request) -> web.Response:
        """One record, by its id or its other name."""
        resource = _resource(request)

        async def work(organisation: Organisation) -> web.Response:
            found = _named(organisation, resource, request.match_info["id"])
            shown = resource.shown(found, full=True)
            return self._answer(request, resource.plural, [shown])

        return await self._call(request, resource.scopes, work)

    async def save(self, request: web.Request) -> web.Response:
        """PUT creates; POST creates or updates."""
        resource = _resource(request)
        if resource.save is None:
            raise problems.not_found()

        async def work(organisation: Organisation) -> web.Response:
            elements = elements_of(await request.read(), resource, request.content_type)
            if "id" in request.match_info:
                found = _named(organisation, resource, request.match_info["id"])
                elements = [{**each, resource.key: found[resource.key]} for each in elements[:1]]
            summarizes = request.query.get("summarizeErrors", "true").lower() != "false"
            saved = save_all(
                organisation,
                resource,
                elements,
                creates_only=request.method == "PUT",
                summarizes=summarizes,
                places=4 if request.query.get("unitdp") == "4" else 2,
            )
            self._world.count(f"{resource.plural.lower()} saved")
            return self._answer(request, resource.plural, saved)

        return await self._call(request, resource.scopes, work, writes=True)

    async def email(self, request: web.Request) -> web.Response:
        """E-mail an invoice to its contact."""

        async def work(organisation: Organisation) -> web.Response:
            invoice = _named(organisation, RESOURCES["invoices"], request.match_info["id"])
            contact = organisation.records["Contacts"][invoice["Contact"]["ContactID"]]
            wrong = ""
            if invoice["Status"] not in {"SUBMITTED", "AUTHORISED", "PAID"}:
                wrong = "Invoice must be Submitted, Authorised or Paid to be emailed."
            elif not contact.get("EmailAddress"):
                wrong = "The contact has no email address."
            if wrong:
                refused = {
                    "InvoiceID": invoice["InvoiceID"],
                    "ValidationErrors": problems.errors(problems.Invalid(wrong)),
                }
                raise problems.validation([refused])
            organisation.save("Invoices", "InvoiceID", {**invoice, "SentToContact": True})
            organisation.publish()
            return web.Response(status=204)

        return await self._call(request, INVOICE_SCOPES, work, writes=True)

    async def online(self, request: web.Request) -> web.Response:
        """Where a customer sees an invoice."""

        async def work(organisation: Organisation) -> web.Response:
            invoice = _named(organisation, RESOURCES["invoices"], request.match_info["id"])
            url = f"https://in.xero.com/{invoice['InvoiceID'].replace('-', '')}"
            return self._answer(request, "OnlineInvoices", [{"OnlineInvoiceUrl": url}])

        return await self._call(request, INVOICE_SCOPES, work)

    async def _call(
        self, request: web.Request, scopes: tuple[str, ...], work: Work, *, writes: bool = False
    ) -> web.Response:
        """Authenticate, count, replay or do."""
        access = self._world.access
        token = access.token(request)
        organisation = access.organisation(request, token)
        access.require(token, scopes, writes=writes)
        body = await request.read()
        try:
            with access.counted(token, organisation.tenant_id):
                if self._world.levers.work:
                    await asyncio.sleep(self._world.levers.work)
                saved = access.saved_answer(request, token, body) if writes else None
                if saved is not None:
                    self._world.count("replays")
                    return saved
                response = await work(organisation)
                if writes:
                    access.save_answer(request, token, body, response)
                return response
        finally:
            request[REMAINING] = access.remaining(token.client_id, organisation.tenant_id)

    def _answer(
        self, request: web.Request, name: str, elements: list[Any], **more: Any
    ) -> web.Response:
        body = envelope(self._world.now(), name, elements, **more)
        return answer(body, json=accepts_json(request, self._world.levers.xml_without_accept))


def _resource(request: web.Request) -> Resource:
    found = RESOURCES.get(request.match_info["kind"].lower())
    if found is None:
        raise problems.not_found()
    return found


def _named(organisation: Organisation, resource: Resource, name: str) -> Record:
    found = organisation.records[resource.plural].get(name) or organisation.find(
        resource.plural, **{resource.alias: name}
    )
    if found is None:
        raise problems.not_found()
    return found
