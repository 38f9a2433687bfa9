"""Xero's own Python SDK, unchanged, against the sandbox."""

import asyncio
import datetime as dt
import warnings
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.sandbox.xero.server import serve

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("xero_python", reason="xero-python is not installed")
    import requests
    from xero_python.accounting import (
        Account,
        AccountingApi,
        Contact,
        Contacts,
        Invoice,
        Invoices,
        LineAmountTypes,
        LineItem,
        Payment,
        RequestEmpty,
    )
    from xero_python.api_client import ApiClient
    from xero_python.api_client.configuration import Configuration
    from xero_python.api_client.oauth2 import OAuth2Token, TokenApi
    from xero_python.exceptions import (
        AccountingBadRequestException,
        HTTPStatusException,
        NotFoundException,
        RateLimitException,
    )
    from xero_python.identity import IdentityApi

pytestmark = pytest.mark.filterwarnings("ignore")

BACK = "http://localhost:9/callback"
NZ, UK = "fe79f7dd-b6d4-4a92-ba7b-538af6289c58", "c2cc9b6e-9458-4c7d-93cc-f02b81b0594f"
SCOPES = (
    "openid offline_access accounting.contacts accounting.invoices accounting.payments "
    "accounting.settings"
)


@pytest.fixture
async def running(monkeypatch):
    started = await serve("127.0.0.1", 0)
    started.world.register_app("xero-client", "xero-secret", [BACK])
    started.world.levers.minute_limit = 1000
    for name in ("refresh_token_url", "client_credentials_token_url"):
        monkeypatch.setattr(TokenApi, name, f"{started.url}/connect/token")
    monkeypatch.setattr(TokenApi, "revoke_token_url", f"{started.url}/connect/revocation")
    yield started
    await started.close()


class Client:
    """The SDK with a token of its own, stored through its hooks."""

    def __init__(self, url, token, client_id="xero-client", client_secret="xero-secret"):
        self.token = token
        self.oauth = OAuth2Token(client_id=client_id, client_secret=client_secret)
        # Constructing it with arguments copies whatever any client in this process made first.
        configuration = Configuration()
        configuration.oauth2_token = self.oauth
        self.api = ApiClient(configuration, pool_threads=1)
        self.api.oauth2_token_getter(lambda: self.token)
        self.api.oauth2_token_saver(self.save)
        self.accounting = AccountingApi(self.api, base_url=f"{url}/api.xro/2.0")
        self.identity = IdentityApi(self.api, base_url=url)

    def save(self, token):
        self.token = token


def connected(url, *tenants):
    """Click through the consent page and redeem the code."""
    form = {
        "client_id": "xero-client",
        "response_type": "code",
        "scope": SCOPES,
        "redirect_uri": BACK,
        "state": "st",
    }
    page = requests.get(f"{url}/identity/connect/authorize", params=form, timeout=10)
    assert page.status_code == 200
    decided = requests.post(
        f"{url}/identity/connect/decision",
        data={**form, "decision": "connect", "tenantId": tenants},
        allow_redirects=False,
        timeout=10,
    )
    code = parse_qs(urlsplit(decided.headers["Location"]).query)["code"][0]
    exchange = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
    issued = requests.post(
        f"{url}/connect/token", data=exchange, auth=("xero-client", "xero-secret"), timeout=10
    ).json()
    return Client(url, {**issued, "scope": issued["scope"].split()})


def new_invoice(contact, **changed):
    line = LineItem(
        description="Consulting",
        quantity=Decimal(3),
        unit_amount=Decimal("33.33"),
        account_code="200",
        tax_type="OUTPUT2",
    )
    fields = {
        "type": "ACCREC",
        "contact": Contact(contact_id=contact.contact_id),
        "date": dt.date(2026, 11, 28),
        "due_date": dt.date(2026, 12, 28),
        "line_amount_types": LineAmountTypes.EXCLUSIVE,
        "line_items": [line],
        "status": "AUTHORISED",
        **changed,
    }
    return Invoice(**fields)


async def test_the_sdk_refreshes_its_token_lists_connections_and_revokes(running):
    def use():
        client = connected(running.url, NZ, UK)
        first = client.token["refresh_token"]
        names = [each.tenant_name for each in client.identity.get_connections()]
        client.token = {**client.token, "expires_at": 1}
        client.accounting.get_contacts(NZ)
        second = client.token["refresh_token"]
        uk = next(each for each in client.identity.get_connections() if each.tenant_id == UK)
        client.identity.delete_connection(uk.id)
        with pytest.raises(HTTPStatusException) as gone:
            client.accounting.get_contacts(UK)
        client.oauth.update_token(**client.token)
        access = dict(client.token)
        client.oauth.revoke_access_token(client.api)
        client.token = {**access, "expires_at": None}
        with pytest.raises(HTTPStatusException) as revoked:
            client.accounting.get_contacts(NZ)
        return names, first != second, gone.value.status, revoked.value.status

    assert await asyncio.to_thread(use) == (["Acme NZ", "Globex UK"], True, 403, 401)


async def test_the_sdk_reads_settings_and_writes_contacts(running):
    def use():
        client = connected(running.url, NZ)
        api = client.accounting
        organisation = api.get_organisations(NZ).organisations[0]
        accounts = api.get_accounts(NZ, where='Class=="REVENUE"').accounts
        rates = api.get_tax_rates(NZ).tax_rates
        items = api.get_items(NZ).items
        currencies = api.get_currencies(NZ).currencies
        ada = Contact(name="Ada O'Neil", email_address="a@x.io", contact_number="hubspot-512")
        made = api.create_contacts(NZ, Contacts(contacts=[ada])).contacts[0]
        found = api.get_contacts(NZ, where='ContactNumber=="hubspot-512"').contacts
        with pytest.raises(AccountingBadRequestException) as twin:
            api.create_contacts(NZ, Contacts(contacts=[Contact(name="ada o'neil")]))
        changed = api.update_contact(
            NZ, made.contact_id, Contacts(contacts=[Contact(contact_status="ARCHIVED")])
        )
        since = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
        later = api.get_contacts(NZ, include_archived=True, if_modified_since=since)
        return (
            (organisation.name, organisation.base_currency.value),
            [each.code for each in accounts],
            (rates[0].tax_type, rates[0].effective_rate),
            [each.code for each in items],
            [each.code.value for each in currencies],
            [each.contact_id for each in found] == [made.contact_id],
            twin.value.reason.partition(" is already")[0],
            changed.contacts[0].contact_status,
            later.contacts,
        )

    assert await asyncio.to_thread(use) == (
        ("Acme NZ", "NZD"),
        ["200", "260"],
        ("OUTPUT2", 15),
        ["CONSULT", "SUB"],
        ["NZD", "USD"],
        True,
        "The contact name ada o'neil",
        "ARCHIVED",
        [],
    )


async def test_the_sdk_makes_pays_and_voids_invoices(running):
    def use():
        client = connected(running.url, NZ)
        api = client.accounting
        contact = api.create_contacts(
            NZ, Contacts(contacts=[Contact(name="Ada", email_address="a@x.io")])
        ).contacts[0]
        body = Invoices(invoices=[new_invoice(contact, reference="hubspot-deal-123")])
        first = api.create_invoices(NZ, body, idempotency_key="run-1", unitdp=4).invoices[0]
        again = api.create_invoices(NZ, body, idempotency_key="run-1", unitdp=4).invoices[0]
        assert first.invoice_id == again.invoice_id
        assert (first.sub_total, first.total_tax, first.total) == (
            Decimal("99.99"),
            Decimal("15.00"),
            Decimal("114.99"),
        )
        assert (first.date, first.due_date) == (dt.date(2026, 11, 28), dt.date(2026, 12, 28))
        assert first.updated_date_utc.tzinfo is not None

        mixed = Invoices(invoices=[new_invoice(contact), new_invoice(contact, line_items=[])])
        with pytest.raises(AccountingBadRequestException) as summary:
            api.create_invoices(NZ, mixed)
        each = api.create_invoices(NZ, mixed, summarize_errors=False).invoices
        number = Invoices(invoices=[new_invoice(contact, invoice_number=first.invoice_number)])
        with pytest.raises(AccountingBadRequestException) as taken:
            api.create_invoices(NZ, number)

        payment = Payment(
            invoice=Invoice(invoice_id=first.invoice_id),
            account=Account(code="090"),
            amount=Decimal("114.99"),
            date=dt.date(2026, 11, 29),
        )
        paid = api.create_payment(NZ, payment).payments[0]
        closed = api.get_invoice(NZ, first.invoice_id).invoices[0]
        other = each[0].invoice_id
        api.email_invoice(NZ, other, RequestEmpty())
        online = api.get_online_invoice(NZ, other).online_invoices[0].online_invoice_url
        voided = api.update_invoice(
            NZ, other, Invoices(invoices=[Invoice(status="VOIDED")])
        ).invoices[0]
        page = api.get_invoices(NZ, page=1, statuses=["PAID"], order="Date DESC")
        with pytest.raises(NotFoundException):
            api.get_invoice(NZ, "00000000-0000-0000-0000-000000000001")
        running.world.levers.minute_limit = 0
        impatient = client.api.rest_client.pool_manager
        impatient.clear()
        impatient.connection_pool_kw["retries"] = False  # or it waits as long as Retry-After
        with pytest.raises(RateLimitException) as limited:
            api.get_invoices(NZ)
        return (
            summary.value.reason,
            [(one.status_attribute_string, one.has_errors) for one in each],
            each[1].validation_errors[0].message,
            taken.value.reason,
            (paid.amount, paid.date),
            (closed.status, closed.amount_due, closed.fully_paid_on_date),
            online.startswith("https://in.xero.com/"),
            voided.status,
            [len(one.line_items) for one in page.invoices],
            page.pagination.item_count,
            limited.value.rate_limit,
        )

    assert await asyncio.to_thread(use) == (
        "One or more line items must be specified",
        [("OK", False), ("ERROR", True)],
        "One or more line items must be specified",
        "Invoice # must be unique.",
        (Decimal("114.99"), dt.date(2026, 11, 29)),
        ("PAID", 0, dt.date(2026, 11, 29)),
        True,
        "VOIDED",
        [1],
        1,
        "minute",
    )


async def test_the_sdk_uses_a_custom_connection(running):
    running.world.register_app("custom", "custom-secret", [], UK)

    def use():
        client = Client(running.url, None, "custom", "custom-secret")
        issued = TokenApi(client.api, "custom", "custom-secret").get_client_credentials_token(
            app_store_billing=False
        )
        client.token = {**issued, "scope": issued["scope"].split()}
        return client.accounting.get_organisations(UK).organisations[0].name

    assert await asyncio.to_thread(use) == "Globex UK"
