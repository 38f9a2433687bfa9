"""A way to call the sandbox QuickBooks Online as an app that is connected."""

import base64
import json
from decimal import Decimal
from urllib.parse import urlencode

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


def invoice(customer, amount=100, **more):
    quantity = {"Qty": 2, "UnitPrice": amount / 2}
    detail = {"ItemRef": {"value": "1"}, **quantity, **more.pop("detail", {})}
    line = {
        "DetailType": "SalesItemLineDetail",
        "Amount": amount,
        "SalesItemLineDetail": detail,
    }
    return {"CustomerRef": {"value": customer["Id"]}, "Line": [line], **more}
