"""Client libraries that we did not write take the sandbox for Salesforce."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.sandbox.salesforce.client import ADA
from tests.sdk import node_programs

KEY = "HubSpot_Contact_ID__c"
FIELD = {"object": "Lead", "name": KEY, "length": 64, "externalId": True, "unique": True}


def rewriting_session(running):
    """A session of requests that sends Salesforce's own host names to the sandbox."""
    requests = pytest.importorskip("requests")
    hosts = {
        "login.salesforce.com": running.login_url,
        "test.salesforce.com": running.test_url,
        "acme.my.salesforce.com": running.url,
    }

    class Rewriting(requests.adapters.HTTPAdapter):
        def send(self, request, **rest):
            _, _, host, *_ = request.url.split("/")
            request.url = request.url.replace(
                f"https://{host}", hosts.get(host, f"http://{host}"), 1
            )
            return super().send(request, **rest)

    session = requests.Session()
    session.mount("https://", Rewriting())
    return session


def client_of(library, running, session, **rest):
    login = {"consumer_key": "app", "consumer_secret": "app-secret", "domain": "acme.my", **rest}
    return library.Salesforce(session=session, version="66.0", **login)


async def in_thread(running, work):
    library = pytest.importorskip("simple_salesforce")
    with rewriting_session(running) as session:
        return await asyncio.to_thread(work, library, session)


async def test_simple_salesforce_writes_and_reads_leads(salesforce):
    await salesforce.control("/fields", FIELD)
    salesforce.org.add_user("grace@acme.example")

    def work(library, session):
        client = client_of(library, salesforce.running, session)
        made = client.Lead.upsert(f"{KEY}/42", {"LastName": "O'Neil", "Company": "Acme"})
        again = client.Lead.upsert(f"{KEY}/42", {"Title": "Countess"})
        read = client.Lead.get_by_custom_id(KEY, "42")
        other = client.Lead.create(
            {"LastName": "Byron", "Company": "Acme"}, headers={"Sforce-Auto-Assign": "FALSE"}
        )
        client.Lead.update(other["id"], {"FirstName": "Ada"})
        found = client.query(
            library.format_soql(f"SELECT Id, {KEY} FROM Lead WHERE LastName = {{}}", "O'Neil")
        )
        client.Lead.delete(other["id"])
        now = datetime.now(UTC)
        span = now - timedelta(minutes=5), now + timedelta(minutes=2)
        return {
            "statuses": [made, again],
            "title": read["Title"],
            "found": [each[KEY] for each in found["records"]],
            "all": client.query_all("SELECT Id FROM Lead", include_deleted=True)["totalSize"],
            "live": client.query_all("SELECT Id FROM Lead")["totalSize"],
            "deleted": [each["id"] for each in client.Lead.deleted(*span)["deletedRecords"]]
            == [other["id"]],
            "updated": client.Lead.updated(*span)["ids"] == [read["Id"]],
            "described": KEY in {each["name"] for each in client.Lead.describe()["fields"]},
            "objects": {each["name"] for each in client.describe()["sobjects"]} >= {"Lead", "User"},
            "summary": len(client.Lead.metadata()["recentItems"]),
            "sandbox": client.is_sandbox(),
            "limits": client.limits()["DailyApiRequests"]["Max"],
            "usage": client.api_usage["api-usage"].total,
        }

    assert await in_thread(salesforce.running, work) == {
        "statuses": [201, 200],
        "title": "Countess",
        "found": ["42"],
        "all": 2,
        "live": 1,
        "deleted": True,
        "updated": True,
        "described": True,
        "objects": True,
        "summary": 1,
        "sandbox": False,
        "limits": 15_000,
        "usage": 15_000,
    }


async def test_simple_salesforce_raises_its_own_errors_and_logs_in_again(salesforce):
    await salesforce.control("/fields", FIELD)
    salesforce.org.objects["lead"].fields[KEY.lower()].unique = False
    await salesforce.control("/seed", {"leads": 2001})

    def work(library, session):
        client = client_of(library, salesforce.running, session)
        errors = library.exceptions
        raised = []
        for call in (
            lambda: client.Lead.create({"LastName": "x"}),
            lambda: client.query("SELECT Id FROM Lead WHERE Email = 'o'neil@x.io'"),
            lambda: client.Lead.get("00QHs0000000zzz"),
        ):
            try:
                call()
            except (errors.SalesforceMalformedRequest, errors.SalesforceResourceNotFound) as error:
                raised.append((type(error).__name__, error.content[0]["errorCode"]))
        for _ in range(2):
            client.Lead.create({"LastName": "x", "Company": "y", KEY: "7"})
        with pytest.raises(errors.SalesforceMoreThanOneRecord):
            client.Lead.upsert(f"{KEY}/7", {"Title": "x"})
        salesforce.world.ahead += 3 * 3600
        pages = client.query_all("SELECT Id FROM Lead")["totalSize"]
        return raised, pages

    raised, pages = await in_thread(salesforce.running, work)

    assert raised == [
        ("SalesforceMalformedRequest", "REQUIRED_FIELD_MISSING"),
        ("SalesforceMalformedRequest", "MALFORMED_QUERY"),
        ("SalesforceResourceNotFound", "NOT_FOUND"),
    ]
    assert pages == 2003


async def test_simple_salesforce_cannot_log_in_with_a_password(salesforce):
    """1.1."""

    def work(library, session):
        refused = []
        for login in (
            {"username": ADA, "password": "x", "security_token": "y"},
            {
                "username": ADA,
                "password": "x",
                "consumer_key": "app",
                "consumer_secret": "app-secret",
            },
            {"consumer_key": "app", "consumer_secret": "wrong", "domain": "acme.my"},
        ):
            try:
                library.Salesforce(session=session, version="66.0", **login)
            except library.SalesforceAuthenticationFailed as error:
                refused.append(error.code)
        return refused

    assert await in_thread(salesforce.running, work) == [
        "UNSUPPORTED_API_VERSION",
        "unsupported_grant_type",
        "invalid_client",
    ]


async def test_simple_salesforce_signs_in_by_assertion_once_the_user_is_approved(salesforce):
    pytest.importorskip("jwt")
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    app = salesforce.world.apps["app"]
    app.certificate = public.decode()

    def work(library, session):
        login = {"username": ADA, "consumer_key": "app", "privatekey": private}
        answers = []
        for domain in ("login", "test", "login"):
            try:
                client = library.Salesforce(session=session, version="66.0", domain=domain, **login)
                answers.append(client.query("SELECT COUNT() FROM Lead")["totalSize"])
            except library.SalesforceAuthenticationFailed as error:
                answers.append(error.auth_message)
            app.approved.add(ADA)
        return answers

    with pytest.warns(UserWarning, match="authorize this"):
        answers = await in_thread(salesforce.running, work)

    assert answers == ["user hasn't approved this consumer", "authentication failure", 0]


@node_programs.needs("jsforce")
async def test_jsforce_takes_the_sandbox_for_salesforce_and_loses_a_rotated_connection(salesforce):
    """3.11.2: it throws the new refresh token away, so its second refresh ends the grant."""
    await salesforce.control("/fields", FIELD)
    tokens = await salesforce.connect()
    walked = await node_programs.run(
        "salesforce.mjs",
        URL=salesforce.running.url,
        ACCESS_TOKEN=tokens["access_token"],
        REFRESH_TOKEN=tokens["refresh_token"],
    )

    assert (
        walked.pop("lostConnection")
        == "Unable to refresh session due to: expired access/refresh token"
    )
    assert walked == {
        "user": ADA,
        "upserts": [True, False],
        "both": [True, True],
        "some": [True, "REQUIRED_FIELD_MISSING"],
        "retrieved": ["Countess", "Rear Admiral"],
        "found": ["Byron"],
        "pages": 2003,
        "scanned": 2004,
        "deleted": 1,
        "updated": 2003,
        "refused": ["REQUIRED_FIELD_MISSING", "Required fields are missing: [Company]"],
        "duplicate": ["DUPLICATES_DETECTED", 1],
        "described": True,
        "objects": True,
        "limit": 15_000,
        "renewed": True,
    }
