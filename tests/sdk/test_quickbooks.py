"""Third-party client libraries of QuickBooks Online, unchanged, against the sandbox."""

import asyncio
import datetime as dt
import json
import warnings
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.sandbox.quickbooks.server import serve
from tests.sdk import node_programs
from tests.until import until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    intuitlib = pytest.importorskip("intuitlib", reason="intuit-oauth is not installed")
    quickbooks = pytest.importorskip("quickbooks", reason="python-quickbooks is not installed")
    import requests
    from intuitlib.client import AuthClient
    from intuitlib.enums import Scopes
    from intuitlib.exceptions import AuthClientError
    from quickbooks import QuickBooks
    from quickbooks.cdc import change_data_capture
    from quickbooks.exceptions import (
        AuthorizationException,
        ObjectNotFoundException,
        QuickbooksException,
        ValidationException,
    )
    from quickbooks.objects import (
        Customer,
        EmailAddress,
        Invoice,
        Item,
        Preferences,
        Ref,
        SalesItemLine,
        SalesItemLineDetail,
        TaxCode,
    )

pytestmark = pytest.mark.filterwarnings("ignore")

BACK = "http://localhost:9/callback"
US, UK = "9341453172058071", "9341453172058072"


@pytest.fixture
async def running(monkeypatch):
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    started = await serve("127.0.0.1", 0)
    started.world.register_app("qbo-client", "qbo-secret", [BACK], "verifier-token-1")
    started.world.levers.requests_per_second = 1000
    monkeypatch.setattr(QuickBooks, "api_url_v3", f"{started.url}/v3")
    yield started
    await started.close()


def auth_client(url, **more):
    discovery = f"{url}/.well-known/openid_configuration"
    return AuthClient("qbo-client", "qbo-secret", BACK, discovery, **more)


def code_for(auth, realm):
    """Click through the consent page; the code and the realm id of the callback."""
    page = auth.get_authorization_url([Scopes.ACCOUNTING], state_token="st")
    query = {name: values[0] for name, values in parse_qs(urlsplit(page).query).items()}
    decision = page.partition("/connect/")[0] + "/connect/decision"
    form = {**query, "decision": "connect", "realmId": realm}
    answer = requests.post(decision, data=form, allow_redirects=False, timeout=10)
    callback = parse_qs(urlsplit(answer.headers["Location"]).query)
    return callback["code"][0], callback["realmId"][0]


async def test_intuit_oauth_connects_refreshes_and_revokes(running):
    def use():
        auth = auth_client(running.url)
        auth.get_bearer_token(*code_for(auth, UK))
        first = auth.refresh_token
        user = auth.get_user_info().json()
        running.world.jump(86_401)
        auth.refresh()
        second = auth.refresh_token
        with pytest.raises(AuthClientError) as old:
            auth_client(running.url).refresh(first)
        assert auth.revoke()
        with pytest.raises(AuthClientError) as revoked:
            auth.refresh()
        return auth.realm_id, user["email"], first, second, old.value, revoked.value

    realm, email, first, second, old, revoked = await asyncio.to_thread(use)

    assert realm == UK
    assert email == "ada@acme.example"
    assert first != second
    assert (old.status_code, revoked.status_code) == (400, 400)
    assert json.loads(old.content)["error"] == "invalid_grant"
    assert old.intuit_tid.startswith("1-")


def connected(url, realm=US, **more):
    auth = auth_client(url)
    auth.get_bearer_token(*code_for(auth, realm))
    return QuickBooks(
        auth_client=auth,
        refresh_token=auth.refresh_token,
        company_id=realm,
        minorversion=75,
        **more,
    )


def new_invoice(customer, amount, quantity=None, price=None, tax=None):
    line, detail = SalesItemLine(), SalesItemLineDetail()
    line.Amount = amount
    detail.ItemRef = Ref()
    detail.ItemRef.value = "2"
    if quantity is not None:
        detail.Qty, detail.UnitPrice = quantity, price
    if tax is not None:
        detail.TaxCodeRef = Ref()
        detail.TaxCodeRef.value = tax
    line.SalesItemLineDetail = detail
    made = Invoice()
    made.CustomerRef = customer.to_ref()
    made.Line.append(line)
    return made


async def test_python_quickbooks_writes_customers_and_invoices(running):
    def use():
        client = connected(running.url, use_decimal=True)
        customer = Customer()
        customer.DisplayName = "O'Neil & Sons"
        customer.PrimaryEmailAddr = EmailAddress()
        customer.PrimaryEmailAddr.Address = "neil@x.io"
        customer = customer.save(qb=client)
        assert Customer.filter(DisplayName="O'Neil & Sons", qb=client)[0].Id == customer.Id
        assert Customer.where("PrimaryEmailAddr = 'neil@x.io'", qb=client)[0].Id == customer.Id
        assert Customer.filter(DisplayName="Nobody", qb=client) == []
        assert Customer.count(qb=client) == 1
        assert [each.Name for each in Item.all(order_by="Name", qb=client)] == [
            "Hours",
            "Services",
            "Subscription",
        ]
        assert {each.Id for each in TaxCode.all(qb=client)} == {"TAX", "NON", "2"}
        assert Preferences.get(qb=client).CurrencyPrefs.HomeCurrency.value == "USD"

        unsaved = new_invoice(customer, Decimal("99.99"), Decimal(3), Decimal("33.33"))
        made = unsaved.save(qb=client, request_id="r-1")
        again = new_invoice(customer, Decimal("99.99")).save(qb=client, request_id="r-1")
        assert (made.TotalAmt, made.Balance, again.Id) == (Decimal("99.99"),) * 2 + (made.Id,)
        assert made.Line[-1].DetailType == "SubTotalLineDetail"

        with pytest.raises(QuickbooksException) as wrong:
            new_invoice(customer, 100, 3, 33).save(qb=client)
        twin = Customer()
        twin.DisplayName = "o'neil & sons"
        with pytest.raises(QuickbooksException) as duplicate:
            twin.save(qb=client)
        with pytest.raises(ObjectNotFoundException):
            Invoice.get(77, qb=client)
        with pytest.raises(ValidationException) as parsed:
            Customer.query("SELECT * FROM Customer WHERE Id = '1' OR Id = '2'", qb=client)

        sent = made.send(qb=client, send_to="neil+books@x.io")["Invoice"]
        stale_token = made.SyncToken
        made = Invoice.get(made.Id, qb=client)
        made.SyncToken = stale_token
        with pytest.raises(QuickbooksException) as stale:
            made.save(qb=client)
        made = Invoice.get(made.Id, qb=client)
        made.PrivateNote = "hubspot-deal-123"
        made = made.save(qb=client)
        voided = made.void(qb=client)["Invoice"]
        since = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
        changes = change_data_capture([Invoice, Customer], since.isoformat(), qb=client)
        invoice = Invoice.get(made.Id, qb=client)
        deleted = invoice.delete(qb=client)["Invoice"]
        pdf = new_invoice(customer, 10).save(qb=client).download_pdf(qb=client)
        running.world.grants.expire_access()
        with pytest.raises(AuthorizationException) as expired:
            Customer.all(qb=client)
        return (
            [each.value.error_code for each in (wrong, duplicate, parsed, stale)],
            sent["BillEmail"]["Address"],
            made.PrivateNote,
            voided["TotalAmt"],
            len(changes.Invoice),
            deleted["status"],
            pdf[:4],
            expired.value.error_code,
        )

    assert await asyncio.to_thread(use) == (
        [6070, 6240, 4000, 5010],
        "neil+books@x.io",
        "hubspot-deal-123",
        0,
        1,
        "Deleted",
        b"%PDF",
        401,
    )


async def test_python_quickbooks_meets_the_tax_rules_of_another_country(running):
    def use():
        client = connected(running.url, UK)
        customer = Customer()
        customer.DisplayName = "Ada"
        customer = customer.save(qb=client)
        with pytest.raises(QuickbooksException) as refused:
            new_invoice(customer, 100).save(qb=client)
        made = new_invoice(customer, 100, tax="2").save(qb=client)
        return refused.value.error_code, made.TotalAmt, made.TxnTaxDetail.TotalTax

    assert await asyncio.to_thread(use) == (6000, 120, 20)


async def test_python_quickbooks_accepts_a_webhooks_signature(running, receiver):
    def use():
        client = connected(running.url)
        running.world.grants.apps["qbo-client"].webhook_url = f"{receiver.url}/hook"
        customer = Customer()
        customer.DisplayName = "Zoë"
        customer.save(qb=client)
        return client

    client = await asyncio.to_thread(use)
    await until(lambda: receiver.requests, within=10)
    _, _, headers, body = receiver.requests[0]
    signature = headers["intuit-signature"]
    assert client.validate_webhook_signature(body.decode(), signature, "verifier-token-1")
    assert not client.validate_webhook_signature(body.decode(), signature, "another")


@node_programs.needs("node-quickbooks")
async def test_node_quickbooks_writes_customers_and_invoices(running):
    grant = running.world.grants.authorize("qbo-client", US)
    walked = await node_programs.run(
        "quickbooks.cjs", BASE=running.url, REALM=US, REFRESH_TOKEN=grant.refresh_token
    )
    assert walked == {
        "company": "Acme Inc",
        "found": ["O'Neil & Sons"],
        "none": True,
        "total": 99.99,
        "replayed": True,
        "duplicate": "6240",
        "stale": "5010",
        "sent": "EmailSent",
        "voided": 0,
        "deleted": "Deleted",
        "counted": 0,
        "changed": ["Customer", "Invoice"],
        "revoked": 401,
    }
