"""A broker before the sandbox Salesforce, in its callers' words."""

from urllib.parse import parse_qsl, urlsplit

from tests.fixtures.broker_client import RETURN_URL

CLIENT, SECRET = "salesforce-client", "canary-salesforce-secret"
SCOPES = ["api", "refresh_token"]
ADA, BOB = "ada@acme.example", "bob@globex.example"
DATA = "/services/data/v66.0"
LEADS = f"{DATA}/query?q=SELECT+Id,LastName+FROM+Lead"
LEAD = f"{DATA}/sobjects/Lead"


class Orgs:
    """The sandbox's orgs with a broker before them: an app, links, consent, calls."""

    def __init__(self, running, broker):
        self.running, self.world, self.broker = running, running.world, broker
        self.app = None

    @property
    def org(self):
        return self.world.org

    async def registers(self, **changes):
        body = {
            "slug": "crm",
            "provider": "salesforce",
            "clientId": CLIENT,
            "clientSecret": SECRET,
            "scopes": SCOPES,
            "returnUrls": [RETURN_URL],
            **changes,
        }
        answer = await self.broker.asks("POST", "/api/apps", json=body)
        if answer.status == 201:
            self.app = answer.json()
            self.world.add_app(CLIENT, SECRET, [self.app["redirectUrl"]], SCOPES, run_as=ADA)
        return answer

    async def links(self, user="u1", **query):
        params = {"userForeignIdentifier": user, **query}
        answer = await self.broker.asks("GET", "/api/salesforce/auth/crm", params=params)
        assert answer.status == 200, answer.body
        url = answer.json()["url"]
        self.broker.secrets.append(dict(parse_qsl(urlsplit(url).query))["state"])
        return url

    async def consents(self, user="u1", username=ADA, **query):
        self.world.levers.auto_consent = username
        answer = await self.broker.asks("GET", await self.links(user, **query), key="")
        assert answer.status in {302, 303}, answer.body
        return answer.headers["Location"]

    async def connects(self, user="u1", username=ADA, **query):
        return await self.broker.asks("GET", await self.consents(user, username, **query), key="")

    async def imports(self, user="u1", **body):
        path = f"/api/apps/crm/connections/{user}/import"
        return await self.broker.asks("POST", path, json=body)

    async def shows(self, user="u1"):
        answer = await self.broker.asks("GET", f"/api/apps/crm/connections/{user}")
        assert answer.status == 200, answer.body
        return answer.json()

    async def calls(self, path=LEADS, user="u1", method="GET", **rest):
        return await self.broker.asks(method, f"/proxy/crm/{user}{path}", **rest)

    async def wraps(self, url, method="GET", **rest):
        body = {"userForeignIdentifier": "u1", "method": method, "url": url, **rest}
        return await self.broker.asks("POST", "/api/salesforce/proxy/crm", json=body)

    def end_sessions(self):
        """As an org's timeout does: the tokens are over, the grants are not."""
        for session in self.world.grants.sessions.values():
            session.alive = False

    def add_issued_secrets(self):
        """Have the logs searched for all that Salesforce issued."""
        grants = self.world.grants
        self.broker.secrets += [*grants.sessions, *grants.by_refresh_token, *grants.codes]

    @property
    def refreshes(self):
        return self.world.counters.get("refreshes", 0)
