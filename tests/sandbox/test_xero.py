"""The sandbox Xero answers, refuses and forgets as Xero does."""

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

from broker.sandbox.xero.server import serve
from broker.sandbox.xero.world import Xero

NOW = 1_795_867_200.5  # 2026-11-28 12:00 UTC, the 29th in New Zealand
BACK = "http://localhost:9/callback"
NZ, UK = "fe79f7dd-b6d4-4a92-ba7b-538af6289c58", "c2cc9b6e-9458-4c7d-93cc-f02b81b0594f"
BASIC = "Basic " + base64.b64encode(b"xero-client:xero-secret").decode()
SCOPES = "openid offline_access accounting.contacts accounting.invoices accounting.payments"


class Calls:
    """Calls as an app that is connected to organisations."""

    def __init__(self, running, session):
        self.url, self.world, self.session = running.url, running.world, session
        self.levers, self.grants = running.world.levers, running.world.grants
        self.app = self.world.register_app("xero-client", "xero-secret", [BACK])
        self.levers.minute_limit = 10_000
        self.token_value = ""

    def connect(self, *tenants, scopes=None, client="xero-client"):
        event = self.grants.connect(client, tenants)
        scopes = scopes or [
            "offline_access",
            "accounting.contacts",
            "accounting.invoices",
            "accounting.payments",
            "accounting.settings",
        ]
        issued = self.grants.issue(client, scopes, event)
        self.token_value = issued["access_token"]
        return issued

    async def call(self, method, path, body=None, tenant=NZ, headers=None, **query):
        url = f"{self.url}/api.xro/2.0/{path}" + (f"?{urlencode(query)}" if query else "")
        sent = {
            "Authorization": f"Bearer {self.token_value}",
            "Accept": "application/json",
            **({"Xero-Tenant-Id": tenant} if tenant else {}),
            **({"Content-Type": "application/json"} if body is not None else {}),
            **(headers or {}),
        }
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

    async def refused(self, kind, element, method="PUT", **more):
        """The messages of a validation exception."""
        status, answer = await self.call(method, kind, {kind: [element]}, **more)
        assert status == 400, answer
        assert (answer["ErrorNumber"], answer["Type"]) == (10, "ValidationException")
        assert answer["Message"] == "A validation exception occurred"
        return [each["Message"] for each in answer["Elements"][0]["ValidationErrors"]]

    async def contact(self, name="Ada Lovelace", **more):
        element = {"Name": name, **more}
        return (await self.ok("PUT", "Contacts", {"Contacts": [element]}))["Contacts"][0]

    async def invoice(self, contact, lines=None, **more):
        element = invoice(contact, lines, **more)
        return (await self.ok("PUT", "Invoices", {"Invoices": [element]}))["Invoices"][0]

    async def token(self, form, authorization=BASIC):
        headers = {"Authorization": authorization} if authorization else {}
        async with self.session.post(
            f"{self.url}/connect/token", data=form, headers=headers
        ) as got:
            return got.status, await got.json()

    async def refresh(self, token):
        return await self.token({"grant_type": "refresh_token", "refresh_token": token})

    async def control(self, method, path, body=None):
        async with self.session.request(method, f"{self.url}/_sandbox/{path}", json=body) as got:
            return got.status, await got.json(content_type=None)


@pytest.fixture
async def books():
    running = await serve("127.0.0.1", 0, Xero(now=lambda: NOW))
    async with aiohttp.ClientSession() as session:
        calls = Calls(running, session)
        calls.connect(NZ)
        yield calls
    await running.close()


def line(**changed):
    made = {
        "Description": "Consulting",
        "Quantity": 2,
        "UnitAmount": 50,
        "AccountCode": "200",
        "TaxType": "OUTPUT2",
        **changed,
    }
    return {name: value for name, value in made.items() if value is not None}


def invoice(contact, lines=None, **more):
    made = {
        "Type": "ACCREC",
        "Contact": {"ContactID": contact["ContactID"]},
        "DueDate": "2026-12-28",
        "LineAmountTypes": "Exclusive",
        "Status": "AUTHORISED",
        "LineItems": [line()] if lines is None else lines,
        **more,
    }
    return {name: value for name, value in made.items() if value is not None}


# Tokens and connections


async def test_a_person_chooses_organisations_and_the_code_works_once(books):
    query = {
        "client_id": "xero-client",
        "response_type": "code",
        "scope": SCOPES,
        "redirect_uri": BACK,
        "state": "st 1",
    }

    async def page(**changed):
        asked = urlencode({**query, **changed})
        async with books.session.get(f"{books.url}/identity/connect/authorize?{asked}") as got:
            return got.status, await got.text()

    async def decide(tenants=(), **form):
        data = [*{**query, **form}.items(), *(("tenantId", each) for each in tenants)]
        async with books.session.post(
            f"{books.url}/identity/connect/decision", data=data, allow_redirects=False
        ) as got:
            return parse_qs(urlsplit(got.headers.get("Location", "")).query)

    for wrong, word in (
        ({"client_id": "x"}, "unauthorized_client"),
        ({"redirect_uri": "http://x.test"}, "unauthorized_client"),
        ({"scope": "accounting.everything"}, "invalid_scope"),
        ({"scope": "accounting.transactions"}, "invalid_scope"),
    ):
        status, text = await page(**wrong)
        assert (status, word in text) == (400, True), wrong
    status, text = await page()
    assert (status, "Acme NZ" in text, "Globex UK" in text) == (200, True, True)
    assert await decide([UK], decision="cancel") == {"error": ["access_denied"], "state": ["st 1"]}
    brought = await decide([NZ, UK], decision="connect")
    assert brought["state"] == ["st 1"]
    form = {"grant_type": "authorization_code", "code": brought["code"][0], "redirect_uri": BACK}

    assert await books.token(form, None) == (400, {"error": "invalid_client"})
    assert (await books.token({**form, "redirect_uri": "http://x.test"}))[1] == {
        "error": "invalid_grant"
    }
    status, issued = await books.token(form)
    assert (status, issued["expires_in"], issued["token_type"]) == (200, 1800, "Bearer")
    assert {"refresh_token", "id_token", "scope"} < set(issued)
    assert (await books.token(form))[1] == {"error": "invalid_grant"}
    claims = json.loads(base64.urlsafe_b64decode(issued["access_token"].split(".")[1] + "=="))
    assert claims["exp"] - claims["nbf"] == 1800
    headers = {"Authorization": f"Bearer {issued['access_token']}"}
    event = {"authEventId": claims["authentication_event_id"]}
    async with books.session.get(f"{books.url}/connections", headers=headers, params=event) as got:
        connections = await got.json()
        assert "X-AppMinLimit-Remaining" in got.headers
        assert "X-MinLimit-Remaining" not in got.headers
    assert [each["tenantId"] for each in connections] == [NZ, UK]
    assert connections[1]["tenantName"] == "Globex UK"
    assert connections[1]["tenantType"] == "ORGANISATION"
    assert re.fullmatch(r"[\d-]{10}T[\d:]{8}\.\d{7}", connections[1]["createdDateUtc"])


async def test_older_apps_may_still_ask_for_broad_scopes(books):
    books.levers.granular_scopes = False
    books.levers.auto_consent = [NZ]
    query = {
        "client_id": "xero-client",
        "response_type": "code",
        "scope": "accounting.transactions offline_access",
        "redirect_uri": BACK,
    }
    url = f"{books.url}/identity/connect/authorize?{urlencode(query)}"
    async with books.session.get(url, allow_redirects=False) as got:
        assert got.status == 302
    books.connect(NZ, scopes=["accounting.transactions"])
    await books.ok("GET", "Invoices")


async def test_an_app_is_connected_to_no_more_organisations_than_its_plan_has(books):
    books.levers.connection_limit, books.levers.auto_consent = 1, [UK]
    query = {
        "client_id": "xero-client",
        "response_type": "code",
        "scope": SCOPES,
        "redirect_uri": BACK,
    }
    url = f"{books.url}/identity/connect/authorize?{urlencode(query)}"
    async with books.session.get(url, allow_redirects=False) as got:
        assert got.status == 403
    books.levers.auto_consent = [NZ]
    async with books.session.get(url, allow_redirects=False) as got:
        assert got.status == 302


async def test_a_code_with_a_challenge_needs_its_verifier(books):
    verifier = "v" * 50
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    for given, status in (("", 400), ("w" * 50, 400), (verifier, 200)):
        code = books.grants.issue_code(books.app, ["openid"], BACK, challenge, "event")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": given,
        }
        assert (await books.token(form))[0] == status


async def test_every_refresh_rotates_and_the_old_token_works_for_half_an_hour(books):
    first = books.connect(NZ)["refresh_token"]
    second = (await books.refresh(first))[1]["refresh_token"]
    books.world.jump(1800)
    retried = await books.refresh(first)
    books.world.jump(1)
    late = await books.refresh(first)
    books.levers.grace = 0
    third = (await books.refresh(second))[1]["refresh_token"]
    books.world.jump(1)

    assert len({first, second, third, retried[1]["refresh_token"]}) == 4
    assert late == (400, {"error": "invalid_grant"})
    assert (await books.refresh(second))[0] == 400
    books.world.jump(60 * 86_400)
    assert (await books.refresh(third))[0] == 400


async def test_without_offline_access_there_is_no_refresh_token(books):
    assert "refresh_token" not in books.connect(NZ, scopes=["accounting.contacts"])


async def test_a_custom_connection_gets_tokens_by_client_credentials_and_names_no_tenant(books):
    form = {"grant_type": "client_credentials", "scope": "accounting.contacts"}
    assert (await books.token(form))[1] == {"error": "unauthorized_client"}
    books.world.register_app("custom", "custom-secret", [], UK)
    own = {**form, "client_id": "custom", "client_secret": "custom-secret"}
    assert (await books.token({**own, "scope": "x"}, None))[1] == {"error": "invalid_scope"}
    status, issued = await books.token(own, None)
    assert (status, "refresh_token" in issued) == (200, False)
    books.token_value = issued["access_token"]
    assert (await books.call("GET", "Contacts", tenant=None))[0] == 200
    assert (await books.call("GET", "Contacts", tenant=NZ))[0] == 403


async def test_revoking_and_disconnecting_end_what_they_say(books):
    issued = books.connect(NZ, UK)
    headers = {"Authorization": f"Bearer {issued['access_token']}"}
    connection = books.grants.connection("xero-client", UK)
    url = f"{books.url}/connections/{connection.connection_id}"
    async with books.session.delete(url, headers=headers) as got:
        assert got.status == 204
    async with books.session.delete(url, headers=headers) as got:
        assert got.status == 404
    assert (await books.call("GET", "Contacts", tenant=UK))[0] == 403
    assert (await books.call("GET", "Contacts"))[0] == 200
    form = {"token": issued["refresh_token"]}
    auth = {"Authorization": BASIC}
    async with books.session.post(
        f"{books.url}/connect/revocation", data=form, headers=auth
    ) as got:
        assert (got.status, await got.read()) == (200, b"")
    assert (await books.refresh(issued["refresh_token"]))[0] == 400
    assert (await books.call("GET", "Contacts"))[0] == 401


async def test_calls_are_refused_without_token_tenant_or_scope(books):
    books.connect(NZ, scopes=["accounting.contacts.read"])
    no_tenant = await books.call("GET", "Contacts", tenant=None)
    other_tenant = await books.call("GET", "Contacts", tenant=UK)
    no_scope = await books.call("GET", "Invoices")
    read_only = await books.call("PUT", "Contacts", {"Contacts": [{"Name": "A"}]})
    read = await books.call("GET", "Contacts")
    books.world.jump(1801)
    expired = await books.call("GET", "Contacts")
    books.token_value = "x"
    unknown = await books.call("GET", "Contacts")

    assert (no_tenant[0], no_tenant[1]["Detail"]) == (403, "AuthenticationUnsuccessful")
    assert other_tenant[0] == 403
    assert no_scope[0] == read_only[0] == 401
    assert no_scope[1]["Detail"] == "AuthorizationUnsuccessful"
    assert read[0] == 200
    assert expired[0] == unknown[0] == 401
    assert set(expired[1]) == {"Type", "Title", "Status", "Detail", "Instance", "Extensions"}
    assert expired[1]["Detail"].startswith("TokenExpired: token expired at 11/28/2026")


# Limits


async def test_limits_by_minute_day_and_app_say_which_and_how_long(books):
    books.levers.minute_limit, books.levers.day_limit = 2, 3
    await books.ok("GET", "Contacts")
    assert (books.headers["X-MinLimit-Remaining"], books.headers["X-DayLimit-Remaining"]) == (
        "1",
        "2",
    )
    assert books.headers["X-AppMinLimit-Remaining"] == "9999"
    await books.ok("GET", "Contacts")
    assert (await books.call("GET", "Contacts"))[0] == 429
    assert books.headers["X-Rate-Limit-Problem"] == "minute"
    assert 1 <= int(books.headers["Retry-After"]) <= 61
    books.world.jump(61)
    await books.ok("GET", "Contacts")
    books.world.jump(61)
    assert (await books.call("GET", "Contacts"))[0] == 429
    assert books.headers["X-Rate-Limit-Problem"] == "day"
    assert int(books.headers["Retry-After"]) > 40_000


async def test_the_app_has_a_limit_over_all_organisations(books):
    books.connect(NZ, UK)
    books.levers.app_minute_limit = 1
    await books.ok("GET", "Contacts")
    assert (await books.call("GET", "Contacts", tenant=UK))[0] == 429
    assert books.headers["X-Rate-Limit-Problem"] == "appminute"


async def test_a_sixth_call_at_once_is_refused(books):
    books.levers.work = 0.2
    statuses = [
        each[0] for each in await asyncio.gather(*(books.call("GET", "Contacts") for _ in range(6)))
    ]
    assert sorted(statuses) == [200, 200, 200, 200, 200, 429]


# Contacts


async def test_contact_names_and_numbers_are_unique_among_active_ones(books):
    first = await books.contact(ContactNumber="hubspot-512", EmailAddress="a@x.io")
    twin = await books.refused("Contacts", {"Name": "ada lovelace"})
    number = await books.refused("Contacts", {"Name": "B", "ContactNumber": "hubspot-512"})
    changed = await books.ok(
        "POST", "Contacts", {"Contacts": [{"ContactNumber": "hubspot-512", "FirstName": "Ada"}]}
    )
    archive = {"ContactID": first["ContactID"], "ContactStatus": "ARCHIVED"}
    await books.ok("POST", "Contacts", {"Contacts": [archive]})
    again = await books.contact()
    hidden = await books.ok("GET", "Contacts")
    shown = await books.ok("GET", "Contacts", includeArchived="true")

    unique = "The contact name must be unique across all active contacts."
    assert twin == [
        f"The contact name ada lovelace is already assigned to another contact. {unique}"
    ]
    assert number == ["The contact number hubspot-512 is already assigned to another contact."]
    assert changed["Contacts"][0]["ContactID"] == first["ContactID"]
    assert changed["Contacts"][0]["EmailAddress"] == "a@x.io"
    assert [each["ContactID"] for each in hidden["Contacts"]] == [again["ContactID"]]
    assert len(shown["Contacts"]) == 2
    archived = "The contact with the specified contact details has been archived."
    rule = "The contact must be un-archived before creating new invoices or credit notes."
    assert await books.refused("Invoices", invoice(first)) == [f"{archived} {rule}"]


async def test_what_is_wrong_with_a_contact_is_said(books):
    for element, message in (
        ({"EmailAddress": "a@x.io"}, "The contact name cannot be empty."),
        ({"Name": "A", "EmailAddress": "nobody"}, "Email address must be valid."),
        (
            {"Name": "A", "ContactNumber": "x" * 51},
            "The contact number must not be longer than 50 characters.",
        ),
    ):
        assert await books.refused("Contacts", element) == [message]
    status, answer = await books.call("PUT", "Contacts", "{")
    assert (status, answer["Type"]) == (400, "PostDataInvalidException")


async def test_lists_are_filtered_ordered_and_paged(books):
    for n in range(5):
        await books.contact(f"Contact {n}", ContactNumber=f"hubspot-{n}", EmailAddress=f"{n}@x.io")

    async def names(**query):
        found = await books.ok("GET", "Contacts", **query)
        return [each["Name"][-1] for each in found["Contacts"]]

    assert await names(where='ContactNumber=="hubspot-3"') == ["3"]
    assert await names(where='Name=="contact 1" OR (Name.EndsWith("2") AND EmailAddress!=null)') == ["1", "2"]  # fmt: skip
    assert await names(where='Name.Contains("tact 4")') == ["4"]
    assert await names(where="UpdatedDateUTC>=DateTime(2026,11,28)&&IsSupplier==null") == list("01234")  # fmt: skip
    assert await names(searchTerm="hubspot-2") == ["2"]
    assert await names(order="Name DESC", page="2", pageSize="2") == ["2", "1"]
    paged = await books.ok("GET", "Contacts", page="1", pageSize="2")
    assert paged["pagination"] == {"page": 1, "pageSize": 2, "pageCount": 3, "itemCount": 5}
    for wrong in ("Nonsense==1", "Name=", 'Name=="a" OR', "Name ~ 1", "(Name==null"):
        status, answer = await books.call("GET", "Contacts", where=wrong)
        assert (status, answer["Type"]) == (400, "QueryParseException"), wrong


async def test_if_modified_since_is_to_the_second(books):
    await books.contact("Old")
    books.world.jump(10)
    await books.contact("New")

    async def names(since):
        headers = {"If-Modified-Since": since}
        return [
            each["Name"]
            for each in (await books.ok("GET", "Contacts", headers=headers))["Contacts"]
        ]

    assert await names("2026-11-28T12:00:00") == ["Old", "New"]
    assert await names("2026-11-28T12:00:01") == ["New"]
    assert await names("Sat, 28 Nov 2026 12:00:11 GMT") == []
    assert (await books.call("GET", "Contacts", headers={"If-Modified-Since": "today"}))[0] == 400


# Invoices


async def test_an_invoice_gets_a_number_totals_and_dates(books):
    contact = await books.contact()
    made = await books.invoice(
        contact,
        [line(UnitAmount=33.333, Quantity=3), line(TaxType="ZERORATED", DiscountRate=10)],
        Reference="hubspot-deal-123",
    )
    assert made["InvoiceNumber"] == "INV-0001"
    assert [each["UnitAmount"] for each in made["LineItems"]] == [Decimal("33.33"), 50]
    assert [each["LineAmount"] for each in made["LineItems"]] == [Decimal("99.99"), 90]
    assert (made["SubTotal"], made["TotalTax"]) == (Decimal("189.99"), Decimal("15.00"))
    assert made["Total"] == made["AmountDue"] == Decimal("204.99")
    assert (made["AmountPaid"], made["CurrencyCode"], made["Status"]) == (0, "NZD", "AUTHORISED")
    assert made["Contact"] == {"ContactID": contact["ContactID"], "Name": "Ada Lovelace"}
    assert made["DateString"] == "2026-11-29T00:00:00"
    assert made["DueDate"] == "/Date(1798416000000+0000)/"
    assert made["UpdatedDateUTC"] == "/Date(1795867200500+0000)/"
    precise = (await books.ok(
        "PUT", "Invoices", invoice(contact, [line(UnitAmount=33.3333, Quantity=3)]), unitdp="4"
    ))["Invoices"][0]  # fmt: skip
    assert precise["LineItems"][0]["UnitAmount"] == Decimal("33.3333")
    assert precise["SubTotal"] == Decimal("100.00")
    inclusive = await books.invoice(contact, LineAmountTypes="Inclusive")
    assert (inclusive["SubTotal"], inclusive["TotalTax"], inclusive["Total"]) == (
        Decimal("86.96"),
        Decimal("13.04"),
        100,
    )
    untaxed = await books.invoice(contact, LineAmountTypes="NoTax")
    assert (untaxed["Total"], untaxed["LineItems"][0]["TaxType"]) == (100, "NONE")


async def test_what_is_wrong_with_an_invoice_is_said_all_at_once(books):
    contact = await books.contact()
    for element, message in (
        ({"Type": "SALE"}, "Invoice Type must be either ACCREC or ACCPAY"),
        ({"Contact": None}, "A Contact must be specified for this type of transaction."),
        ({"Contact": {"ContactID": "no"}}, "The contact ID could not be found."),
        ({"LineItems": []}, "One or more line items must be specified"),
        ({"DueDate": None}, "Due Date cannot be empty"),
        ({"DueDate": "soon"}, "'soon' is not a valid date"),
        ({"CurrencyCode": "EUR"}, "Organisation is not subscribed to currency EUR"),
        ({"Status": "PAID"}, "Invoice Status is not valid"),
        ({"LineItems": [line(AccountCode=None)]}, "Account code must be specified"),
        (
            {"LineItems": [line(AccountCode="090")]},
            "Account code '090' is not a valid code for this document.",
        ),
        ({"LineItems": [line(TaxType=None)]}, "Tax type must be specified"),
        (
            {"LineItems": [line(TaxType="VAT")]},
            "The TaxType code 'VAT' does not exist or cannot be used for this type of transaction.",
        ),
        ({"LineItems": [line(Description="")]}, "Description must be at least 1 char."),
        (
            {"LineItems": [line(LineAmount=99)]},
            "The line total 99 does not match the expected line total 100.00",
        ),
    ):
        assert await books.refused("Invoices", {**invoice(contact), **element}) == [message]
    both = await books.refused(
        "Invoices", invoice(contact, [line(TaxType="VAT"), line(AccountCode="999")])
    )
    assert len(both) == 2
    assert (await books.ok("GET", "Invoices"))["Invoices"] == []


async def test_a_draft_forgives_what_an_approved_invoice_needs(books):
    draft = await books.invoice(
        await books.contact(), [{"Description": "later"}], Status="DRAFT", DueDate=None
    )
    assert draft["LineItems"][0]["LineAmount"] == 0
    approve = {"InvoiceID": draft["InvoiceID"], "Status": "AUTHORISED"}
    assert await books.refused("Invoices", approve, method="POST") == ["Due Date cannot be empty"]


async def test_put_refuses_a_taken_number_and_post_overwrites(books):
    contact = await books.contact()
    first = await books.invoice(contact, InvoiceNumber="D-1")
    twice = await books.refused("Invoices", invoice(contact, InvoiceNumber="D-1"))
    posted = await books.ok(
        "POST", "Invoices", invoice(contact, [line(UnitAmount=1)], InvoiceNumber="D-1")
    )
    assert twice == ["Invoice # must be unique."]
    assert posted["Invoices"][0]["InvoiceID"] == first["InvoiceID"]
    assert posted["Invoices"][0]["SubTotal"] == 2
    by_number = await books.ok("GET", "Invoices/D-1")
    assert by_number["Invoices"][0]["InvoiceID"] == first["InvoiceID"]


async def test_errors_are_summarized_or_told_by_each_element(books):
    contact = await books.contact()
    both = {"Invoices": [invoice(contact), invoice(contact, [])]}
    status, summary = await books.call("PUT", "Invoices", both)
    assert (status, len(summary["Elements"])) == (400, 1)
    assert (await books.ok("GET", "Invoices"))["Invoices"] == []
    each = (await books.ok("PUT", "Invoices", both, summarizeErrors="false"))["Invoices"]
    assert [one["StatusAttributeString"] for one in each] == ["OK", "ERROR"]
    assert each[1]["HasErrors"] is True
    assert each[1]["ValidationErrors"] == [{"Message": "One or more line items must be specified"}]
    assert len((await books.ok("GET", "Invoices"))["Invoices"]) == 1


async def test_an_idempotency_key_replays_for_a_while_and_refuses_another_request(books):
    contact = await books.contact()
    body = {"Invoices": [invoice(contact)]}
    key = {"Idempotency-Key": "run-1"}
    first = await books.ok("PUT", "Invoices", body, headers=key)
    again = await books.ok("PUT", "Invoices", body, headers=key)
    other = {"Invoices": [invoice(contact, Reference="x")]}
    conflict = await books.call("PUT", "Invoices", other, headers=key)
    long = await books.call("PUT", "Invoices", body, headers={"Idempotency-Key": "x" * 129})
    books.world.jump(361)
    late = await books.ok("PUT", "Invoices", body, headers=key)

    assert first == again
    assert conflict[0] == long[0] == 400
    assert late["Invoices"][0]["InvoiceID"] != first["Invoices"][0]["InvoiceID"]


async def test_a_lost_answer_leaves_the_invoice_and_the_key_finds_it(books):
    body = {"Invoices": [invoice(await books.contact())]}
    # The client tries a PUT on a kept connection once more by itself.
    fault = {"path": "*/Invoices", "kind": "lose-answer", "times": 2}
    await books.control("POST", "faults", fault)
    key = {"Idempotency-Key": "run-1"}
    with pytest.raises(aiohttp.ClientError):
        await books.call("PUT", "Invoices", body, headers=key)
    await books.ok("PUT", "Invoices", body, headers=key)
    assert len((await books.ok("GET", "Invoices"))["Invoices"]) == 1


async def test_lists_without_pages_leave_lines_out(books):
    made = await books.invoice(await books.contact())
    plain = (await books.ok("GET", "Invoices"))["Invoices"][0]
    paged = (await books.ok("GET", "Invoices", page="1"))["Invoices"][0]
    alone = (await books.ok("GET", f"Invoices/{made['InvoiceID']}"))["Invoices"][0]
    assert (len(plain["LineItems"]), len(paged["LineItems"]), len(alone["LineItems"])) == (0, 1, 1)
    assert (await books.ok("GET", "Invoices", Statuses="DRAFT,PAID"))["Invoices"] == []
    contact = made["Contact"]["ContactID"]
    assert (await books.ok("GET", "Invoices", where=f'Contact.ContactID==Guid("{contact}")'))["Invoices"]  # fmt: skip
    assert (await books.call("GET", "Invoices/nothing"))[0] == 404


async def test_payments_close_an_invoice_which_then_cannot_be_changed(books):
    made = await books.invoice(await books.contact())
    which = {"InvoiceID": made["InvoiceID"]}
    payment = {"Invoice": which, "Account": {"Code": "090"}, "Amount": 100}

    assert await books.refused("Payments", {**payment, "Amount": 116}) == [
        "Payment amount exceeds the amount outstanding on this document"
    ]
    assert await books.refused("Payments", {**payment, "Account": {"Code": "200"}}) == [
        "The account must be a bank account or have payments enabled."
    ]
    paid = (await books.ok("PUT", "Payments", {"Payments": [payment]}))["Payments"][0]
    assert (paid["Amount"], paid["PaymentType"]) == (100, "ACCRECPAYMENT")
    void = {**which, "Status": "VOIDED"}
    assert await books.refused("Invoices", void, method="POST") == [
        "Invoice cannot be voided as it has payments allocated to it."
    ]
    await books.ok("PUT", "Payments", {**payment, "Amount": 15})
    closed = (await books.ok("GET", f"Invoices/{made['InvoiceID']}"))["Invoices"][0]
    assert (closed["Status"], closed["AmountDue"], closed["AmountPaid"]) == ("PAID", 0, 115)
    assert len(closed["Payments"]) == 2
    assert await books.refused("Invoices", {**which, "Reference": "x"}, method="POST") == [
        "Invoice not of valid status for modification"
    ]


async def test_invoices_are_voided_deleted_emailed_and_shown_online(books):
    contact = await books.contact()
    approved = await books.invoice(contact)
    draft = await books.invoice(contact, Status="DRAFT")
    path = f"Invoices/{approved['InvoiceID']}"

    assert (await books.call("POST", f"{path}/Email", {}))[0] == 400
    change = {"ContactID": contact["ContactID"], "EmailAddress": "a@x.io"}
    await books.ok("POST", "Contacts", change)
    assert (await books.call("POST", f"{path}/Email", {}))[0] == 204
    online = await books.ok("GET", f"{path}/OnlineInvoice")
    assert online["OnlineInvoices"][0]["OnlineInvoiceUrl"].startswith("https://in.xero.com/")
    voided = await books.ok("POST", path, {"Status": "VOIDED"})
    assert (voided["Invoices"][0]["Status"], voided["Invoices"][0]["AmountDue"]) == ("VOIDED", 0)
    delete = {"InvoiceID": draft["InvoiceID"], "Status": "DELETED"}
    assert (await books.ok("POST", "Invoices", delete))["Invoices"][0]["Status"] == "DELETED"


async def test_a_locked_period_refuses_documents(books):
    await books.control("POST", f"organisations/{NZ}", {"lock_date": "2026-10-31"})
    contact = await books.contact()
    refused = await books.refused("Invoices", invoice(contact, Date="2026-10-31"))
    await books.invoice(contact, Date="2026-11-01")
    assert refused == [
        "The document date cannot be before the period lock date, currently set at 31 October 2026"
    ]


async def test_settings_can_be_read_and_items_kept(books):
    accounts = (await books.ok("GET", "Accounts", where='Class=="REVENUE"'))["Accounts"]
    rates = (await books.ok("GET", "TaxRates"))["TaxRates"]
    organisation = (await books.ok("GET", "Organisation"))["Organisations"][0]
    currencies = (await books.ok("GET", "Currencies"))["Currencies"]
    item = {"Code": "NEW", "Name": "New", "SalesDetails": {"UnitPrice": 12.5, "AccountCode": "200"}}
    made = (await books.ok("PUT", "Items", {"Items": [item]}))["Items"][0]

    assert [each["Code"] for each in accounts] == ["200", "260"]
    assert rates[0]["TaxType"] == "OUTPUT2"
    assert rates[0]["EffectiveRate"] == 15
    assert (organisation["BaseCurrency"], organisation["CountryCode"]) == ("NZD", "NZ")
    assert [each["Code"] for each in currencies] == ["NZD", "USD"]
    assert made["SalesDetails"]["UnitPrice"] == Decimal("12.5")
    assert await books.refused("Items", item) == ["Price List Item with Code 'NEW' already exists"]
    by_item = [{"ItemCode": "SUB", "Quantity": 1, "UnitAmount": 99}]
    billed = await books.invoice(await books.contact(), by_item)
    assert billed["LineItems"][0]["AccountCode"] == "200"


async def test_without_an_accept_header_the_answer_is_xml(books):
    await books.contact("Tom & Co")
    headers = {"Accept": "*/*"}
    _, text = await books.call("GET", "Contacts", headers=headers)
    status, refused = await books.call("PUT", "Contacts", {"Contacts": [{}]}, headers=headers)
    assert "<Contacts><Contact>" in text
    assert "<Name>Tom &amp; Co</Name>" in text
    assert "<UpdatedDateUTC>2026-11-28T12:00:00.500</UpdatedDateUTC>" in text
    assert (status, "<ValidationError><Message>" in refused) == (400, True)


# Webhooks


def honest(key):
    """A receiver that checks signatures as Xero demands."""

    async def take(request):
        body = await request.read()
        wanted = base64.b64encode(hmac.digest(key, body, hashlib.sha256)).decode()
        taken.append((request.headers["x-xero-signature"] == wanted, json.loads(body)))
        return aiohttp.web.Response(status=200 if taken[-1][0] else 401)

    taken = []
    return take, taken


@pytest.fixture
async def hook(books):
    """A receiver at an address that the app names; its answers can be changed."""
    take, taken = honest(b"webhook-key")
    server = aiohttp.web.Application()
    server.router.add_post("/hook", take)
    runner = aiohttp.web.AppRunner(server)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    books.app.webhook_url = f"http://localhost:{runner.addresses[0][1]}/hook"
    books.app.webhook_key = "webhook-key"
    yield taken
    await runner.cleanup()


async def test_nothing_is_sent_before_the_intent_to_receive_is_passed(books, hook):
    await books.contact("Before")
    books.app.webhook_key = "another key"
    _, failed = await books.control("POST", "apps/xero-client/webhook-check")
    books.app.webhook_key = "webhook-key"
    _, passed = await books.control("POST", "apps/xero-client/webhook-check")
    hook.clear()
    contact = await books.contact("After")
    made = await books.invoice(contact)
    async with asyncio.timeout(10):
        while sum(len(body["events"]) for _, body in hook) < 2:
            await asyncio.sleep(0.01)

    assert failed["status"] == "pending"
    assert passed["status"] == "ok"
    assert [each["status"] for each in passed["checks"]] == [200, 401, 200, 401]
    assert all(good for good, _ in hook)
    events = [event for _, body in hook for event in body["events"]]
    assert [(each["eventCategory"], each["eventType"]) for each in events] == [
        ("CONTACT", "CREATE"),
        ("INVOICE", "CREATE"),
    ]
    assert events[1]["resourceId"] == made["InvoiceID"]
    assert events[1]["tenantId"] == NZ
    assert events[1]["eventDateUtc"] == "2026-11-28T12:00:00.500"
    assert hook[0][1]["firstEventSequence"] == 1
    assert hook[-1][1]["lastEventSequence"] == 2


async def test_a_webhook_that_is_never_acknowledged_is_disabled(books, receiver):
    books.app.webhook_url, books.app.webhook_key = f"{receiver.url}/hook", "k"
    books.levers.itr = False
    books.world.webhooks.ways.waits = [0.0]
    receiver.answers = [
        lambda: aiohttp.web.Response(status=200, text="ok"),
        lambda: aiohttp.web.Response(status=500),
    ]
    await books.contact()
    async with asyncio.timeout(10):
        while books.app.webhook_status != "disabled":
            await asyncio.sleep(0.01)
    assert len({body for _, _, _, body in receiver.requests}) == 1
    assert len(receiver.requests) == 2


# Control and pages


async def test_the_books_can_be_looked_at_and_changed_by_a_person(books):
    status, saved = await books.control(
        "POST", f"organisations/{NZ}/Contacts", {"Name": "<b>Ada</b>"}
    )
    assert status == 200
    await books.invoice(saved[0])
    async with books.session.get(books.url + "/") as got:
        page = await got.text()
    assert "&lt;b&gt;Ada" in page
    assert "INV-0001" in page
    assert (await books.control("POST", f"organisations/{NZ}/Contacts", {}))[0] == 400
    assert (await books.control("POST", "levers", {"disconnect": NZ}))[0] == 204
    assert (await books.call("GET", "Contacts"))[0] == 403
