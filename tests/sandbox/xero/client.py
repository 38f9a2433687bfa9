"""A way to call the sandbox Xero as an app that is connected."""

import base64
import json
from decimal import Decimal
from urllib.parse import urlencode

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
