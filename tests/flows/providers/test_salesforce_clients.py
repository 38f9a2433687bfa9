"""Client libraries of Salesforce through the broker, with its key in the place of a session."""

import asyncio

import pytest

from tests.flows.providers.orgs import ADA
from tests.sdk import node_programs

KEY = "HubSpot_Contact_ID__c"
FIELD = {"object": "Lead", "name": KEY, "length": 64, "externalId": True, "unique": True}


@pytest.fixture
async def connected(orgs):
    """A connected user whose org has an external id for leads."""
    url = f"{orgs.running.url}/_sandbox/fields"
    assert (await orgs.broker.asks("POST", url, key="", json=FIELD)).status < 300
    await orgs.connects()
    return orgs


async def test_simple_salesforce_works_with_a_key_of_the_broker(connected):
    """It knows https and hosts only: an adapter sends its one host to the user's address."""
    requests = pytest.importorskip("requests")
    library = pytest.importorskip("simple_salesforce")
    base = f"{connected.broker.url}/proxy/crm/u1"

    class ToBroker(requests.adapters.HTTPAdapter):
        def send(self, request, **rest):
            request.url = request.url.replace("https://acme.my.salesforce.com", base, 1)
            return super().send(request, **rest)

    def client_with(session, key):
        return library.Salesforce(
            session=session,
            session_id=key,
            instance_url="https://acme.my.salesforce.com",
            version="66.0",
        )

    def walk():
        with requests.Session() as session:
            session.mount("https://", ToBroker())
            client = client_with(session, connected.broker.key)
            made = client.Lead.upsert(f"{KEY}/42", {"LastName": "O'Neil", "Company": "Acme"})
            again = client.Lead.upsert(f"{KEY}/42", {"Title": "Countess"})
            connected.end_sessions()  # the library never learns that its session ended
            read = client.Lead.get_by_custom_id(KEY, "42")
            found = client.query(
                library.format_soql(f"SELECT {KEY} FROM Lead WHERE LastName = {{}}", "O'Neil")
            )
            with pytest.raises(library.exceptions.SalesforceMalformedRequest) as malformed:
                client.Lead.create({"LastName": "x"})
            with pytest.raises(library.exceptions.SalesforceExpiredSession) as wrong:
                client_with(session, "bs_wrong").limits()
            return {
                "statuses": [made, again],
                "title": read["Title"],
                "found": [each[KEY] for each in found["records"]],
                "all": client.query_all("SELECT Id FROM Lead")["totalSize"],
                "limit": client.api_usage["api-usage"].total,
                "malformed": malformed.value.content[0]["errorCode"],
                "wrong": wrong.value.status,
            }

    assert await asyncio.to_thread(walk) == {
        "statuses": [201, 200],
        "title": "Countess",
        "found": ["42"],
        "all": 26,
        "limit": 15_000,
        "malformed": "REQUIRED_FIELD_MISSING",
        "wrong": 401,
    }
    assert connected.refreshes == 1


@node_programs.needs("jsforce")
async def test_jsforce_works_with_a_key_of_the_broker_and_outlives_its_session(connected):
    """Connected itself, it loses a rotated grant at its second refresh; here it never refreshes."""
    walked = await node_programs.run(
        "salesforce_broker.mjs",
        BASE=f"{connected.broker.url}/proxy/crm/u1",
        CONTROL=f"{connected.running.url}/_sandbox",
        KEY=connected.broker.key,
    )

    assert walked == {
        "upserts": [True, False],
        "found": ["Byron"],
        "title": "Countess",
        "pages": 2026,
        "refused": "REQUIRED_FIELD_MISSING",
        "sessions": [15_000, 15_000, 15_000],
        "described": True,
        "user": ADA,
        "wrongKey": "ERROR_HTTP_401",
    }
    assert connected.refreshes == 3
