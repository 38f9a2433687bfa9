"""The sandbox agrees with HubSpot's own OpenAPI documents, operation by operation."""

import json
import re
from collections import Counter
from urllib.parse import urlencode

import aiohttp
import pytest

from broker.sandbox.hubspot.events.workflows import Execution
from tests.sandbox.hubspot.documents import DEVIATIONS, FOLDER, matching, operations
from tests.sandbox.hubspot.walk import Walk

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"HubSpot's OpenAPI documents are not at {FOLDER.name}"
)

# Operations of the documents that the sandbox does not serve, with the reason.
NOT_SERVED = {
    "/usage/high-usage-report/": "a report that is mailed to a person",
    "/automation/v4/actions/{appId}": "definitions are made in a project's files",
    "/automation/actions/2026-03/{appId}": "definitions are made in a project's files",
    "/automation/actions/2026-09/{appId}": "definitions are made in a project's files",
    "/webhooks-journal/": "the journal is its own module",
    "crmCards": "legacy cards ended on 2026-10-31",
    "origins": "addresses of HubSpot's own machines",
}
# Reading associations is in the guide of 2026-09, whose documents predate its release.
LEFT_OUT = re.compile(r"/crm/objects/2026-09/contacts/\d+/associations/companies")
SCOPES = [
    "oauth",
    "automation",
    "tickets",
    "crm.objects.owners.read",
    "crm.schemas.custom.read",
    "crm.schemas.custom.write",
    "crm.objects.custom.read",
    "crm.objects.custom.write",
    *(
        f"crm.{part}.{kind}.{right}"
        for part in ("objects", "schemas")
        for kind in ("contacts", "companies", "deals")
        for right in ("read", "write")
    ),
]


class Exchanges:
    """Every request made, with its answer."""

    def __init__(self, url, session, token):
        self.url, self.session, self.token = url, session, token
        self.made = []

    async def call(self, method, path, body=None, form=None):
        headers = {"Authorization": f"Bearer {self.token}"}
        sent = {"json": body} if body is not None else {}
        if form is not None:
            sent = {"data": urlencode(form)}
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        async with self.session.request(method, self.url + path, headers=headers, **sent) as got:
            text = await got.text()
        answered = json.loads(text) if text else None
        self.made.append((method, path.partition("?")[0], body, got.status, answered))
        return answered


def granted(hubspot, scopes=SCOPES, hub_id=101):
    hubspot.register_app("walker", "walker-secret", 77, scopes, ["http://localhost/back"])
    hubspot.limits.ten_secondly = hubspot.limits.search = 100_000
    refresh = hubspot.grants.issue_refresh("walker", hub_id, "ada@acme.example", scopes)
    return refresh, hubspot.grants.issue_access(refresh, hubspot.now() + 1800)


async def walked(hubspot):
    """Every version walked through: the exchanges."""
    refresh, access = granted(hubspot)
    async with aiohttp.ClientSession() as session:
        exchanges = Exchanges(hubspot.url, session, access.token)
        for version in ("v3", "2026-03", "2026-09"):
            hubspot.portals[101] = hubspot.add_portal(101, "acme.example", ["ada@acme.example"])
            await Walk(exchanges.call, version, hubspot.developer_key, 77).all()
        await with_tokens(exchanges, refresh)
        await completing(exchanges, hubspot)
        for version in ("v3", "2026-03", "2026-09"):
            _, again = granted(hubspot)
            exchanges.token = again.token
            await exchanges.call("DELETE", f"/appinstalls/{version}/external-install")
    return exchanges.made


async def with_tokens(exchanges, refresh):
    client = {"client_id": "walker", "client_secret": "walker-secret"}
    for version in ("v1", "v3", "2026-03", "2026-09"):
        base = f"/oauth/{version}/token"
        renew = {**client, "grant_type": "refresh_token", "refresh_token": refresh.token}
        got = await exchanges.call("POST", base, form=renew)
        await exchanges.call("POST", base, form={**renew, "refresh_token": "na1-no"})
        await exchanges.call(
            "POST", base, form={**client, "grant_type": "client_credentials", "scope": "oauth"}
        )
        if version == "v1":
            await exchanges.call("GET", f"/oauth/v1/access-tokens/{got['access_token']}")
            await exchanges.call("GET", f"/oauth/v1/refresh-tokens/{refresh.token}")
            continue
        for token in (got["access_token"], refresh.token):
            await exchanges.call("POST", f"{base}/introspect", form={**client, "token": token})
        await exchanges.call("POST", f"{base}/revoke", form={**client, "token": "na1-other"})
    await exchanges.call("DELETE", "/oauth/v1/refresh-tokens/na1-other")


async def completing(exchanges, hubspot):
    hubspot.workflows.executions.clear()
    output = {"outputFields": {"hs_execution_state": "SUCCESS"}}
    for base in (
        "/automation/v4/actions/callbacks",
        "/automation/actions/callbacks/2026-03",
        "/automation/actions/callbacks/2026-09",
    ):
        for name in ("one", "two"):
            hubspot.workflows.executions[name] = waiting(name)
        await exchanges.call("POST", f"{base}/one/complete", output)
        await exchanges.call(
            "POST", f"{base}/complete", {"inputs": [{"callbackId": "two", **output}]}
        )
        await exchanges.call("POST", f"{base}/three/complete", output)


def waiting(name):
    return Execution(name, "walker", 101, "http://localhost", {}, state="ASYNC")


def served(operation):
    where = f"{operation.document} {operation.path}"
    return not any(part in where for part in NOT_SERVED)


async def test_every_operation_of_the_documents_answers_as_documented(hubspot):
    made = await walked(hubspot)
    every = operations()
    problems, covered = [], Counter()
    for method, path, sent, status, got in made:
        found = matching(every, method, path)
        if not found and not LEFT_OUT.fullmatch(path):
            problems.append(f"no document has {method} {path}")
        for each in found:
            problems += each.problems(sent, status, got)
            if status < 300:
                covered[each.document, each.method, each.path] += 1
    assert sorted(set(problems)) == [], "\n".join(sorted(set(problems)))

    expected = {(e.document, e.method, e.path) for e in every if served(e)}
    assert expected - set(covered) == set()


async def test_no_deviation_is_listed_that_explains_nothing(hubspot):
    made = await walked(hubspot)
    every = operations()
    for deviation in DEVIATIONS:
        others = tuple(each for each in DEVIATIONS if each is not deviation)
        assert any(
            each.problems(sent, status, got, others)
            for method, path, sent, status, got in made
            for each in matching(every, method, path)
        ), deviation.reason
