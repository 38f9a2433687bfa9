"""The sandbox QuickBooks Online answers, refuses and forgets as Intuit does."""

import asyncio
import base64
import hashlib
import hmac
import json
import re
from decimal import Decimal
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest

from broker.sandbox.quickbooks.server import serve
from broker.sandbox.quickbooks.world import QuickBooks

NOW = 1_795_850_000.0  # 2026-11-28 in UTC, still the 27th in California
BACK = "http://localhost:9/callback"
US, UK = "9341453172058071", "9341453172058072"
BASIC = "Basic " + base64.b64encode(b"qbo-client:qbo-secret").decode()
JSON = {"Accept": "application/json"}


class Calls:
    """Calls as an app that is connected to a company."""

    def __init__(self, running, session):
        self.url, self.world, self.session = running.url, running.world, session
        self.levers = running.world.levers
        self.world.register_app("qbo-client", "qbo-secret", [BACK], "verifier-token-1")
        self.levers.requests_per_second = self.levers.requests_per_minute = 100_000
        self.tokens = {}

    def connect(self, realm=US):
        grant = self.world.grants.authorize("qbo-client", realm)
        self.tokens[realm] = self.world.grants.issue_access(grant)
        return grant

    async def call(self, method, path, body=None, realm=US, headers=None, **query):
        query = {"minorversion": "75", **query}
        url = f"{self.url}/v3/company/{realm}/{path}?{urlencode(query)}"
        sent = {"Authorization": f"Bearer {self.tokens.get(realm, '')}", **JSON, **(headers or {})}
        data = body if isinstance(body, str) or body is None else json.dumps(body)
        async with self.session.request(method, url, data=data, headers=sent) as got:
            text = await got.text()
            self.headers = got.headers
            try:
                return got.status, json.loads(text, parse_float=Decimal)
            except ValueError:
                return got.status, text

    async def ok(self, method, path, body=None, **more):
        status, answer = await self.call(method, path, body, **more)
        assert status == 200, answer
        return answer

    async def refused(self, method, path, body=None, **more):
        status, answer = await self.call(method, path, body, **more)
        assert status == 400, answer
        assert answer["Fault"]["type"] == "ValidationFault"
        error = answer["Fault"]["Error"][0]
        return error["code"], error["Detail"]

    async def find(self, statement, realm=US):
        headers = {"Content-Type": "application/text"}
        answer = await self.ok("POST", "query", statement, realm=realm, headers=headers)
        return answer["QueryResponse"]

    async def customer(self, name="Ada Lovelace", realm=US, **more):
        return (await self.ok("POST", "customer", {"DisplayName": name, **more}, realm=realm))[
            "Customer"
        ]

    async def token(self, form, authorization=BASIC, **headers):
        url = f"{self.url}/oauth2/v1/tokens/bearer"
        sent = {**JSON, **({"Authorization": authorization} if authorization else {}), **headers}
        async with self.session.post(url, data=form, headers=sent) as got:
            return got.status, await got.json(content_type=None)

    async def refresh(self, token, **headers):
        form = {"grant_type": "refresh_token", "refresh_token": token}
        return await self.token(form, **headers)

    async def control(self, method, path, body=None):
        async with self.session.request(method, f"{self.url}/_sandbox/{path}", json=body) as got:
            return got.status, await got.json(content_type=None)


@pytest.fixture
async def books():
    running = await serve("127.0.0.1", 0, QuickBooks(now=lambda: NOW))
    async with aiohttp.ClientSession() as session:
        calls = Calls(running, session)
        calls.connect()
        yield calls
    await running.close()


def invoice(customer, amount=100, **more):
    quantity = {"Qty": 2, "UnitPrice": amount / 2}
    detail = {"ItemRef": {"value": "1"}, **quantity, **more.pop("detail", {})}
    line = {
        "DetailType": "SalesItemLineDetail",
        "Amount": amount,
        "SalesItemLineDetail": detail,
    }
    return {"CustomerRef": {"value": customer["Id"]}, "Line": [line], **more}


# Tokens


async def test_a_code_is_refused_to_others_late_and_twice(books):
    app = books.world.grants.apps["qbo-client"]
    books.world.register_app("other", "other-secret", [BACK])

    def form():
        code = books.world.grants.issue_code(app, US, [], BACK)
        return {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}

    other = "Basic " + base64.b64encode(b"other:other-secret").decode()
    wrong_secret = "Basic " + base64.b64encode(b"qbo-client:x").decode()
    late = form()
    books.world.jump(601)
    good = form()

    assert await books.token(late) == (
        400,
        {"error": "invalid_grant", "error_description": "Invalid authorization code"},
    )
    assert (await books.token(form(), other))[0] == 400
    assert await books.token(form(), wrong_secret) == (401, {"error": "invalid_client"})
    assert (await books.token(form(), None))[0] == 401
    assert (await books.token({**form(), "redirect_uri": "http://localhost:9/x"}))[0] == 400
    assert (await books.token({**form(), "grant_type": "password"}))[1] == {
        "error": "unsupported_grant_type"
    }
    status, answer = await books.token(good)
    assert (status, answer["token_type"], answer["expires_in"]) == (200, "bearer", 3600)
    assert answer["x_refresh_token_expires_in"] == 8_726_400
    assert (await books.token(good))[0] == 400


async def test_a_refresh_token_changes_after_a_day_and_its_old_value_dies_at_once(books):
    first = books.connect().refresh_token

    same = await books.refresh(first)
    books.world.jump(86_401)
    changed = (await books.refresh(first))[1]["refresh_token"]
    old = await books.refresh(first)

    assert same[1]["refresh_token"] == first
    assert changed != first
    assert old == (
        400,
        {"error": "invalid_grant", "error_description": "Incorrect or invalid refresh token"},
    )
    assert (await books.refresh(changed))[0] == 200
    books.levers.describes_errors = False
    assert await books.refresh(first) == (400, {"error": "invalid_grant"})


async def test_a_refresh_token_dies_unused_after_101_days_and_used_after_five_years(books):
    unused = books.connect().refresh_token
    books.world.jump(101 * 86_400)
    assert (await books.refresh(unused))[0] == 400

    token = books.connect().refresh_token
    for _ in range(18):
        books.world.jump(100 * 86_400)
        status, answer = await books.refresh(
            token, **{"x-include-refresh-token-hard-expires-in": "true"}
        )
        assert status == 200
        token = answer["refresh_token"]
    left = answer["x_refresh_token_hard_expires_in"]
    assert left == 25 * 86_400
    assert answer["x_refresh_token_expires_in"] == left
    assert "x_refresh_token_hard_expires_in" not in (await books.refresh(token))[1]
    books.world.jump(left + 1)
    assert (await books.refresh(token))[0] == 400


async def test_revoking_either_token_ends_both(books):
    for which in ("refresh", "access"):
        grant = books.connect()
        token = grant.refresh_token if which == "refresh" else books.tokens[US]
        url = f"{books.url}/v2/oauth2/tokens/revoke"
        body, headers = json.dumps({"token": token}), {"Content-Type": "application/json"}
        async with books.session.post(url, data=body, headers=headers) as got:
            assert got.status == 401
        headers["Authorization"] = BASIC
        async with books.session.post(url, data=body, headers=headers) as got:
            assert (got.status, await got.read()) == (200, b"")
        assert (await books.refresh(grant.refresh_token))[0] == 400
        status, answer = await books.call("GET", "companyinfo/1")
        assert status == 401
        assert answer["fault"]["error"][0]["code"] == "3200"


async def test_a_person_connects_one_company_or_cancels(books):
    query = {
        "client_id": "qbo-client",
        "response_type": "code",
        "scope": "com.intuit.quickbooks.accounting",
        "redirect_uri": BACK,
        "state": "st&1",
    }

    async def page(**changed):
        asked = {name: value for name, value in {**query, **changed}.items() if value}
        async with books.session.get(f"{books.url}/connect/oauth2?{urlencode(asked)}") as got:
            return got.status, await got.text()

    async def decide(**form):
        url = f"{books.url}/connect/decision"
        headers = form.pop("headers", {})
        async with books.session.post(
            url, data={**query, **form}, headers=headers, allow_redirects=False
        ) as got:
            return got.status, parse_qs(urlsplit(got.headers.get("Location", "")).query)

    for wrong in (
        {"client_id": "x"},
        {"redirect_uri": "http://localhost:9/other"},
        {"scope": "all"},
        {"state": ""},
        {"response_type": "token"},
    ):
        assert (await page(**wrong))[0] == 400
    status, shown = await page()
    assert status == 200
    assert "Acme Inc" in shown
    assert "Globex Ltd" in shown
    assert (await decide(decision="connect", realmId=UK, headers={"Origin": "http://x.test"}))[
        0
    ] == 403
    assert await decide(decision="cancel", realmId=UK) == (
        302,
        {"error": ["access_denied"], "state": ["st&1"]},
    )
    _, brought = await decide(decision="connect", realmId=UK)
    assert (brought["realmId"], brought["state"]) == ([UK], ["st&1"])
    form = {
        "grant_type": "authorization_code",
        "code": brought["code"][0],
        "redirect_uri": BACK,
    }
    books.tokens[UK] = (await books.token(form))[1]["access_token"]
    info = await books.ok("GET", f"companyinfo/{UK}", realm=UK)
    assert info["CompanyInfo"]["CompanyName"] == "Globex Ltd"


# Who may call


async def test_the_gateway_refuses_in_its_own_envelope(books):
    books.tokens[UK] = books.tokens[US]
    books.tokens["1"] = "made up"

    malformed = await books.call("GET", "companyinfo/1", realm="1")
    other_realm = await books.call("GET", "companyinfo/1", realm=UK)
    books.levers.environment = "production"
    other_host = await books.call("GET", "companyinfo/1")
    books.levers.environment = "sandbox"
    books.levers.requests_per_second = 2
    books.world.jump(2)
    throttled = [await books.call("GET", "companyinfo/1") for _ in range(3)][-1]
    books.world.jump(3600)
    expired = await books.call("GET", "companyinfo/1")

    assert malformed[0] == expired[0] == 401
    error = expired[1]["fault"]["error"][0]
    assert error["message"] == "message=AuthenticationFailed; errorCode=003200; statusCode=401"
    assert expired[1]["fault"]["type"] == "AUTHENTICATION"
    assert set(expired[1]) == {
        "warnings", "intuitObject", "fault", "report", "queryResponse", "batchItemResponse",
        "attachableResponse", "syncErrorResponse", "requestId", "time", "status", "cdcresponse",
    }  # fmt: skip
    for status, answer in (other_realm, other_host):
        assert status == 403
        assert answer["fault"]["error"][0]["code"] == "3100"
    assert throttled[0] == 429
    assert throttled[1]["fault"]["error"][0]["code"] == "3001"
    assert re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{24}", books.headers["intuit_tid"])


async def test_a_months_reads_run_out_while_writes_go_on(books):
    books.levers.reads_per_month = 1
    await books.ok("GET", "companyinfo/1")
    over = await books.call("GET", "companyinfo/1")
    await books.customer()
    books.world.jump(31 * 86_400)
    books.connect()
    assert (over[0], over[1]["fault"]["error"][0]["code"]) == (429, "3001")
    await books.ok("GET", "companyinfo/1")


async def test_a_new_access_token_may_not_be_known_everywhere_at_once(books):
    books.levers.propagation = 2
    early = await books.call("GET", "companyinfo/1")
    books.world.jump(2)
    assert early[0] == 401
    await books.ok("GET", "companyinfo/1")


async def test_without_an_accept_header_the_answer_is_xml(books):
    made = await books.customer("Tom & Co")
    plain = await books.call("GET", f"customer/{made['Id']}", headers={"Accept": "*/*"})
    refused = await books.call("GET", "customer/99", headers={"Accept": "*/*"})
    asked = await books.call(
        "GET", f"customer/{made['Id']}", headers={"Accept": "*/*"}, format="json"
    )

    assert '<Customer domain="QBO" sparse="false">' in plain[1]
    assert "<DisplayName>Tom &amp; Co</DisplayName>" in plain[1]
    assert '<Fault type="ValidationFault"><Error code="610" element="">' in refused[1]
    assert asked[1]["Customer"]["DisplayName"] == "Tom & Co"


async def test_a_lost_subscription_stops_writes_and_a_lost_user_everything(books):
    await books.control("POST", f"companies/{US}", {"subscription": "ended"})
    code, _ = await books.refused("POST", "customer", {"DisplayName": "A"})
    assert code == "6190"
    assert (await books.call("GET", "companyinfo/1"))[0] == 200
    await books.control("POST", f"companies/{US}", {"access": False})
    status, answer = await books.call("GET", "companyinfo/1")
    assert (status, answer["Fault"]["Error"][0]["code"]) == (403, "120")


# Customers and items


async def test_a_name_is_unique_over_customers_vendors_and_employees_inactive_ones_too(books):
    await books.customer("Ada Lovelace")
    for name, by in (("Vera", "vendor"), ("Emil", "employee"), ("Ina", "inactive")):
        await books.control("POST", f"companies/{US}/names", {"name": name, "by": by})

    for name in ("ada lovelace", " Ada Lovelace ", "Vera", "Emil", "Ina"):
        status, answer = await books.call("POST", "customer", {"DisplayName": name})
        error = answer["Fault"]["Error"][0]
        assert (status, error["code"]) == (400, "6240")
        assert error["Message"] == "Duplicate Name Exists Error"
    found = await books.find("SELECT * FROM Customer WHERE DisplayName = 'Ina'")
    assert found == {}
    inactive = await books.find(
        "SELECT * FROM Customer WHERE DisplayName = 'Ina' AND Active IN (true, false)"
    )
    assert inactive["Customer"][0]["Active"] is False


async def test_what_is_wrong_with_a_customer_has_its_code(books):
    for sent, code in (
        ({"DisplayName": "A", "lifecyclestage": "lead"}, "2010"),
        ({"PrimaryEmailAddr": {"Address": "a@b.c"}}, "2020"),
        ({"DisplayName": "x" * 501}, "2050"),
        ({"DisplayName": "A: B"}, "6000"),
        ({"DisplayName": "A", "CurrencyRef": {"value": "EUR"}}, "6000"),
        ({"Id": "x", "SyncToken": "0"}, "2030"),
        ({"Id": "77", "SyncToken": "0"}, "610"),
    ):
        assert (await books.refused("POST", "customer", sent))[0] == code, sent
    status, answer = await books.call("POST", "customer", "{")
    assert (status, answer["Fault"]["Error"][0]["code"]) == (400, "2010")
    built = await books.ok("POST", "customer", {"GivenName": "Grace", "FamilyName": "Hopper"})
    assert built["Customer"]["DisplayName"] == "Grace Hopper"


async def test_an_update_needs_the_present_sync_token_and_sparse_keeps_the_rest(books):
    made = await books.customer(CompanyName="Analytical", PrimaryEmailAddr={"Address": "a@x.io"})
    change = {"Id": made["Id"], "sparse": True, "CompanyName": "Engines"}

    no_token = await books.refused("POST", "customer", change)
    changed = await books.ok("POST", "customer", {**change, "SyncToken": "0"})
    stale = await books.refused("POST", "customer", {**change, "SyncToken": "0"})
    books.levers.stale = 1
    raced = await books.refused("POST", "customer", {**change, "SyncToken": "1"})
    full = await books.ok(
        "POST", "customer", {"Id": made["Id"], "SyncToken": "2", "DisplayName": "Ada"}
    )

    assert no_token[0] == "2020"
    assert changed["Customer"]["SyncToken"] == "1"
    assert changed["Customer"]["PrimaryEmailAddr"] == {"Address": "a@x.io"}
    assert stale[0] == raced[0] == "5010"
    assert stale[1].startswith("Stale Object Error : You and ")
    assert "PrimaryEmailAddr" not in full["Customer"]


async def test_a_customer_made_inactive_gives_its_name_back_with_a_suffix(books):
    made = await books.customer("Ada")
    gone = {"Id": made["Id"], "SyncToken": "0", "sparse": True, "Active": False}
    answer = await books.ok("POST", "customer", gone)
    assert answer["Customer"]["DisplayName"] == "Ada (deleted)"
    again = await books.customer("Ada")
    refused = await books.refused("POST", "invoice", invoice(made))
    assert refused[0] == "2500"
    assert (await books.ok("POST", "invoice", invoice(again)))["Invoice"]["Id"] == "1"


async def test_items_are_read_made_and_changed(books):
    new = {"Name": "Consulting", "Type": "Service", "UnitPrice": 120.5}
    assert (await books.refused("POST", "item", new))[0] == "2020"
    assert (await books.refused("POST", "item", {**new, "IncomeAccountRef": {"value": "99"}}))[
        0
    ] == "2500"
    assert (await books.refused("POST", "item", {**new, "Name": "services", "IncomeAccountRef": {"value": "1"}}))[0] == "6240"  # fmt: skip
    made = (await books.ok("POST", "item", {**new, "IncomeAccountRef": {"value": "1"}}))["Item"]
    change = {"Id": made["Id"], "SyncToken": "0", "sparse": True, "UnitPrice": 130}
    assert (await books.ok("POST", "item", change))["Item"]["UnitPrice"] == 130
    assert (await books.ok("GET", f"item/{made['Id']}"))["Item"]["Name"] == "Consulting"


# Queries


async def test_a_query_filters_orders_pages_and_counts(books):
    for n in range(5):
        await books.customer(f"Customer {n}", PrimaryEmailAddr={"Address": f"{n}@x.io"})

    found = await books.find(
        "select DisplayName from Customer where DisplayName LIKE 'Customer%' "
        "AND Id IN ('2', '3', '4') ORDERBY DisplayName DESC STARTPOSITION 2 MAXRESULTS 1"
    )
    assert [each["DisplayName"] for each in found["Customer"]] == ["Customer 2"]
    assert (found["startPosition"], found["maxResults"]) == (2, 1)
    by_mail = await books.find("SELECT * FROM Customer WHERE PrimaryEmailAddr = '3@x.io'")
    assert by_mail["Customer"][0]["DisplayName"] == "Customer 3"
    assert await books.find("SELECT count(*) FROM Customer WHERE Id > '2'") == {"totalCount": 3}
    assert await books.find("SELECT * FROM Customer WHERE DisplayName = 'Nobody'") == {}
    after = await books.find(
        "SELECT * FROM Customer WHERE MetaData.LastUpdatedTime > '2020-01-01T00:00:00-08:00'"
    )
    assert len(after["Customer"]) == 5


@pytest.mark.parametrize("name", ["O'Neil & Sons", "back\\slash", "100% Ltd", "Müller “GmbH”"])
async def test_an_escaped_name_is_found_as_it_is(books, name):
    await books.customer(name)
    literal = name.replace("\\", "\\\\").replace("'", "\\'")
    statement = f"SELECT * FROM Customer WHERE DisplayName = '{literal}'"
    posted = await books.find(statement)
    got = await books.ok("GET", "query", query=statement)
    assert posted == got["QueryResponse"]
    assert posted["Customer"][0]["DisplayName"] == name


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT * FROM Customer WHERE DisplayName = 'O'Neil'", "4000"),
        ("SELECT * FROM Customer WHERE Id = '1' OR Id = '2'", "4000"),
        ("SELECT * FROM Customer GROUP BY Id", "4000"),
        ("SELECT * Customer", "4000"),
        ("SELECT * FROM Customer STARTPOSITION 0", "4000"),
        ("SELECT * FROM Customer WHERE Id != '1'", "4000"),
        ("SELECT * FROM Contact", "4001"),
        ("SELECT * FROM Invoice WHERE PrivateNote = 'x'", "4001"),
        ("SELECT * FROM Customer MAXRESULTS 1001", "4001"),
    ],
)
async def test_a_query_outside_the_language_is_refused(books, statement, code):
    headers = {"Content-Type": "application/text"}
    refused = await books.refused("POST", "query", statement, headers=headers)
    assert refused[0] == code
    if code == "4000":
        assert refused[1].startswith('QueryParserError: Encountered " "')


# Invoices


async def test_an_invoice_gets_totals_a_number_and_a_subtotal_line(books):
    customer = await books.customer(BillAddr={"CountrySubDivisionCode": "CA"})
    sent = invoice(
        customer,
        99.99,
        PrivateNote="hubspot-deal-123",
        Balance=0,
        AllowIPNPayment=True,
        detail={"UnitPrice": 49.995, "TaxCodeRef": {"value": "TAX"}},
    )
    made = (await books.ok("POST", "invoice", sent))["Invoice"]

    assert (made["Id"], made["SyncToken"], made["domain"], made["sparse"]) == (
        "1",
        "0",
        "QBO",
        False,
    )
    assert made["DocNumber"] == "1001"
    assert made["TxnDate"] == made["DueDate"] == "2026-11-27"
    assert made["CustomerRef"] == {"value": customer["Id"], "name": "Ada Lovelace"}
    assert made["TxnTaxDetail"]["TotalTax"] == Decimal("7.25")
    assert made["TotalAmt"] == made["Balance"] == made["HomeTotalAmt"] == Decimal("107.24")
    assert [line["DetailType"] for line in made["Line"]] == [
        "SalesItemLineDetail",
        "SubTotalLineDetail",
    ]
    assert made["Line"][0]["Id"] == "1"
    assert made["Line"][0]["SalesItemLineDetail"]["UnitPrice"] == Decimal("49.995")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-0[78]:00", made["MetaData"]["CreateTime"])
    assert (await books.ok("GET", f"customer/{customer['Id']}"))["Customer"]["Balance"] == Decimal("107.24")  # fmt: skip
    assert isinstance(made["TotalAmt"], Decimal)


async def test_what_is_wrong_with_an_invoice_has_its_code(books):
    customer = await books.customer()
    good = invoice(customer)
    line = good["Line"][0]

    def with_line(**changed):
        return {**good, "Line": [{**line, **changed}]}

    def with_detail(**changed):
        return with_line(SalesItemLineDetail={**line["SalesItemLineDetail"], **changed})

    for sent, code in (
        ({"Line": good["Line"]}, "2020"),
        ({"CustomerRef": {"value": "1"}}, "2020"),
        (with_line(DetailType=None), "2020"),
        (with_line(DetailType="Other"), "2170"),
        (with_line(Amount="a lot"), "2090"),
        (with_line(Amount=99), "6070"),
        (with_line(Extra=1), "2010"),
        (with_detail(ItemRef={"value": "99"}), "2500"),
        (with_detail(TaxCodeRef={"value": "20"}), "2500"),
        ({**good, "CustomerRef": {"value": "99"}}, "2500"),
        ({**good, "DocNumber": "x" * 22}, "2050"),
        ({**good, "dealId": "1"}, "2010"),
        ({**good, "TxnDate": "tomorrow"}, "2170"),
        ({**good, "CurrencyRef": {"value": "EUR"}}, "6000"),
    ):
        assert (await books.refused("POST", "invoice", sent))[0] == code, sent
    assert (await books.find("SELECT count(*) FROM Invoice"))["totalCount"] == 0


@pytest.mark.parametrize(("country", "word"), [("CA", "GST/HST"), ("UK", "VAT"), ("AU", "GST")])
async def test_outside_the_us_every_line_needs_a_tax_code(books, country, word):
    await books.control("POST", f"companies/{US}", {"country": country})
    customer = await books.customer()
    bare = invoice(customer, GlobalTaxCalculation="TaxExcluded")
    taxed = invoice(customer, detail={"TaxCodeRef": {"value": "2"}})

    without = await books.refused("POST", "invoice", bare)
    us_code = await books.refused(
        "POST", "invoice", invoice(customer, GlobalTaxCalculation="TaxExcluded", detail={"TaxCodeRef": {"value": "TAX"}})
    )  # fmt: skip
    no_calculation = await books.refused("POST", "invoice", taxed)
    good = await books.ok("POST", "invoice", {**taxed, "GlobalTaxCalculation": "TaxExcluded"})
    inside = await books.ok("POST", "invoice", {**taxed, "GlobalTaxCalculation": "TaxInclusive"})
    none = await books.ok("POST", "invoice", {**bare, "GlobalTaxCalculation": "NotApplicable"})

    assert (
        without
        == us_code
        == (
            "6000",
            f"Business Validation Error: Make sure all your transactions have a {word} rate before you save.",
        )
    )
    assert no_calculation[0] == "6000"
    rate = {"CA": Decimal(0), "UK": Decimal(20), "AU": Decimal(10)}[country]
    assert good["Invoice"]["TotalAmt"] == 100 + rate
    assert inside["Invoice"]["TotalAmt"] == none["Invoice"]["TotalAmt"] == 100


async def test_a_foreign_currency_needs_multicurrency_and_stays_with_the_customer(books):
    assert (await books.refused("POST", "customer", {"DisplayName": "E", "CurrencyRef": {"value": "EUR"}}))[0] == "6000"  # fmt: skip
    await books.control("POST", f"companies/{US}", {"multicurrency": True})
    customer = await books.customer("E", CurrencyRef={"value": "EUR"})
    home = await books.refused("POST", "invoice", invoice(customer, CurrencyRef={"value": "USD"}))
    made = await books.ok("POST", "invoice", invoice(customer, CurrencyRef={"value": "EUR"}))
    change = {"Id": customer["Id"], "SyncToken": "0", "sparse": True}
    moved = await books.refused("POST", "customer", {**change, "CurrencyRef": {"value": "USD"}})

    assert home[0] == moved[0] == "6000"
    assert made["Invoice"]["ExchangeRate"] == Decimal("1.080000")
    assert made["Invoice"]["HomeTotalAmt"] == Decimal("108.00")
    preferences = (await books.ok("GET", "preferences"))["Preferences"]
    assert preferences["CurrencyPrefs"] == {
        "MultiCurrencyEnabled": True,
        "HomeCurrency": {"value": "USD"},
    }


async def test_numbers_are_given_unique_or_left_empty_as_the_company_says(books):
    customer = await books.customer()
    await books.ok("POST", "invoice", invoice(customer, DocNumber="1001"))
    twice = await books.refused("POST", "invoice", invoice(customer, DocNumber="1001"))
    allowed = await books.ok(
        "POST", "invoice", invoice(customer, DocNumber="1001"), include="allowduplicatedocnum"
    )
    following = await books.ok("POST", "invoice", invoice(customer))
    await books.control("POST", f"companies/{US}", {"custom_numbers": True})
    empty = await books.ok("POST", "invoice", invoice(customer))

    assert twice[0] == "6140"
    assert twice[1].endswith("DocNumber=1001 is assigned to TxnType=Invoice with TxnId=1")
    assert allowed["Invoice"]["DocNumber"] == "1001"
    assert following["Invoice"]["DocNumber"] == "1002"
    assert "DocNumber" not in empty["Invoice"]


async def test_closed_books_and_required_service_dates_refuse(books):
    customer = await books.customer()
    await books.control("POST", f"companies/{US}", {"closed_until": "2026-06-30"})
    closed = await books.refused("POST", "invoice", invoice(customer, TxnDate="2026-06-30"))
    await books.ok("POST", "invoice", invoice(customer, TxnDate="2026-07-01"))
    await books.control("POST", f"companies/{US}", {"needs_service_date": True})
    undated = await books.refused("POST", "invoice", invoice(customer, TxnDate="2026-07-01"))

    assert closed[0] == "6210"
    assert undated[0] == "6000"


async def test_the_same_requestid_makes_one_invoice_unless_the_lever_says_otherwise(books):
    customer = await books.customer()
    first = await books.ok("POST", "invoice", invoice(customer), requestid="r-1")
    again = await books.ok("POST", "invoice", invoice(customer), requestid="r-1")
    other = await books.ok("POST", "invoice", invoice(customer), requestid="r-2")
    books.levers.requestid_ignored = True
    twice = await books.ok("POST", "invoice", invoice(customer), requestid="r-1")
    ids = [each["Invoice"]["Id"] for each in (first, again, other, twice)]

    assert ids == ["1", "1", "2", "3"]
    assert (await books.refused("POST", "invoice", invoice(customer), requestid="x" * 51))[
        0
    ] == "2050"


async def test_a_lost_answer_leaves_the_invoice_and_the_requestid_finds_it(books):
    customer = await books.customer()
    fault = {"path": "*/invoice", "kind": "lose-answer", "times": 1}
    assert (await books.control("POST", "faults", fault))[0] == 201
    with pytest.raises(aiohttp.ClientError):
        await books.call("POST", "invoice", invoice(customer), requestid="r-1")
    again = await books.ok("POST", "invoice", invoice(customer), requestid="r-1")
    assert again["Invoice"]["Id"] == "1"
    assert (await books.find("SELECT count(*) FROM Invoice"))["totalCount"] == 1


async def test_an_invoice_is_sent_paid_voided_and_deleted(books):
    customer = await books.customer()
    made = (await books.ok("POST", "invoice", invoice(customer)))["Invoice"]
    octets = {"Content-Type": "application/octet-stream"}

    typed = await books.refused("POST", "invoice/1/send", "{}", headers={"Content-Type": "application/json"}, sendTo="a@b.c")  # fmt: skip
    nowhere = await books.refused("POST", "invoice/1/send", headers=octets)
    sent = await books.ok("POST", "invoice/1/send", headers=octets, sendTo="a@b.c")
    await books.control("POST", f"companies/{US}/invoices/1/pay", {"amount": 40})
    partly = (await books.ok("GET", "invoice/1"))["Invoice"]
    key = {"Id": "1", "SyncToken": partly["SyncToken"]}
    linked = await books.refused("POST", "invoice", key, operation="delete")
    voided = (await books.ok("POST", "invoice", key, operation="void"))["Invoice"]
    key["SyncToken"] = voided["SyncToken"]
    deleted = await books.ok("POST", "invoice", key, operation="delete")
    gone = await books.refused("GET", "invoice/1")

    assert (
        typed
        == nowhere
        == (
            "2020",
            "Required parameter DeliveryAddress.Address is missing in the request",
        )
    )
    assert sent["Invoice"]["EmailStatus"] == "EmailSent"
    assert sent["Invoice"]["BillEmail"] == {"Address": "a@b.c"}
    assert made["TotalAmt"] == 100
    assert partly["Balance"] == 60
    assert partly["LinkedTxn"][0]["TxnType"] == "Payment"
    assert linked[0] == "6440"
    assert (voided["TotalAmt"], voided["Balance"], voided["PrivateNote"]) == (0, 0, "Voided")
    assert deleted["Invoice"] == {"domain": "QBO", "status": "Deleted", "Id": "1"}
    assert gone[0] == "610"


async def test_a_sparse_update_of_an_invoice_keeps_lines_and_a_full_one_needs_them(books):
    customer = await books.customer()
    await books.ok("POST", "invoice", invoice(customer))
    change = {"Id": "1", "SyncToken": "0", "PrivateNote": "note"}
    full = await books.refused("POST", "invoice", change)
    sparse = await books.ok("POST", "invoice", {**change, "sparse": True})
    assert full[0] == "2020"
    assert sparse["Invoice"]["TotalAmt"] == 100
    assert sparse["Invoice"]["DocNumber"] == "1001"
    assert sparse["Invoice"]["SyncToken"] == "1"


async def test_changes_since_a_moment_list_updates_and_deletions(books):
    customer = await books.customer()
    await books.ok("POST", "invoice", invoice(customer))
    await books.ok("POST", "invoice", invoice(customer))
    books.world.jump(600)
    since = books.world.moment().isoformat()
    books.world.jump(1)
    await books.ok("POST", "invoice", {"Id": "2", "SyncToken": "0"}, operation="delete")
    await books.ok("POST", "invoice", invoice(customer))

    answer = await books.ok("GET", "cdc", entities="Customer,Invoice", changedSince=since)
    customers, changed = answer["CDCResponse"][0]["QueryResponse"]
    assert customers == {}
    assert [(each["Id"], each.get("status")) for each in changed["Invoice"]] == [
        ("3", None),
        ("2", "Deleted"),
    ]
    old = await books.refused("GET", "cdc", entities="Invoice", changedSince="2020-01-01T00:00:00Z")
    assert old[0] == "6000"


# Webhooks


async def test_webhooks_are_cloudevents_signed_with_the_verifier_token_one_company_each(
    books, receiver
):
    books.world.grants.apps["qbo-client"].webhook_url = f"{receiver.url}/hook"
    books.connect(UK)
    customer = await books.customer()
    await books.customer(realm=UK)
    await books.ok("POST", "invoice", invoice(customer))
    key = {"Id": "1", "SyncToken": "0"}
    await books.ok("POST", "invoice", key, operation="void")
    async with asyncio.timeout(10):
        while len(receiver.events) < 4:
            await asyncio.sleep(0.01)

    for _, _, headers, body in receiver.requests:
        digest = hmac.digest(b"verifier-token-1", body, hashlib.sha256)
        assert headers["intuit-signature"] == base64.b64encode(digest).decode()
        assert len({each["intuitaccountid"] for each in json.loads(body)}) == 1
    types = [each["type"] for each in receiver.events if each["intuitaccountid"] == US]
    assert types == ["qbo.customer.created.v1", "qbo.invoice.created.v1", "qbo.invoice.void.v1"]
    assert len({each["id"] for each in receiver.events}) == 4
    assert receiver.events[0]["specversion"] == "1.0"


async def test_the_older_webhook_form_retries_replays_and_bad_signatures_are_levers(
    books, receiver
):
    books.world.grants.apps["qbo-client"].webhook_url = f"{receiver.url}/hook"
    levers = {"webhook_form": "legacy", "waits": [0.0], "hold_until_ack": True}
    assert (await books.control("POST", "levers", levers))[0] == 204
    receiver.answers = [lambda: aiohttp.web.Response(status=415)]
    await books.customer()

    async def until(count):
        async with asyncio.timeout(10):
            while len(receiver.requests) < count:
                await asyncio.sleep(0.01)

    await until(2)
    _, sent = await books.control("GET", "deliveries")
    await books.control("POST", "levers", {"signing": "wrong-secret"})
    await books.control("POST", f"deliveries/{sent['deliveries'][0]['delivery_id']}/replay")
    await until(3)

    bodies = [body for _, _, _, body in receiver.requests]
    assert len(set(bodies)) == 1
    notification = json.loads(bodies[0])["eventNotifications"][0]
    assert notification["realmId"] == US
    entity = notification["dataChangeEvent"]["entities"][0]
    assert (entity["name"], entity["operation"]) == ("Customer", "Create")
    signatures = [headers["intuit-signature"] for _, _, headers, _ in receiver.requests]
    assert signatures[0] == signatures[1] != signatures[2]


# Control and pages


async def test_levers_are_seen_set_and_refused_by_name(books):
    assert (await books.control("POST", "levers", {"rotates": True}))[0] == 400
    assert (await books.control("POST", "levers", {"jump": 60, "rotate_after": 5}))[0] == 204
    _, levers = await books.control("GET", "levers")
    assert levers["rotate_after"] == 5
    assert (await books.control("POST", "levers", {"revoke": US}))[0] == 204
    assert (await books.call("GET", "companyinfo/1"))[0] == 401


async def test_requests_are_remembered_with_hashes_for_secrets(books):
    grant = books.connect()
    await books.refresh(grant.refresh_token)
    await books.call("GET", "companyinfo/1")
    _, seen = await books.control("GET", "requests")
    text = json.dumps(seen)
    assert grant.refresh_token not in text
    assert books.tokens[US] not in text
    assert BASIC.split()[1] not in text
    assert seen[0]["headers"]["Authorization"].startswith("sha256:")
    assert (seen[0]["status"], seen[0]["method"]) == (200, "GET")


async def test_the_books_can_be_looked_at_in_a_browser(books):
    customer = await books.customer("<b>Ada</b>")
    await books.ok("POST", "invoice", invoice(customer))
    async with books.session.get(books.url + "/") as got:
        page = await got.text()
    assert "&lt;b&gt;Ada" in page
    assert "1001" in page
    assert "100.00" in page


async def test_a_person_changes_records_behind_the_apps_back(books):
    customer = await books.customer()
    path = f"companies/{US}/entities/customer"
    status, changed = await books.control("POST", path, {"Id": customer["Id"], "Notes": "vip"})
    assert (status, changed["SyncToken"]) == (200, "1")
    assert (await books.control("POST", path, {"nonsense": 1}))[0] == 400
