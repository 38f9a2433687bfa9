"""Two HubSpot accounts, one record id: whose case it is, and where a run may act."""

import asyncio
import json

import pytest

from broker.sandbox.core.faults import Fault
from tests.until import until

RETURN_URL = "https://product.example/settings?tab=integrations"
KYB_PATH = "/api/recipes/kyb/hbdev"
SETTINGS = "/api/apps/hbdev/recipes/kyb"
CLIENT = {"clientId": "pk_live_tests"}
COMPANY_SCOPES = [
    "oauth",
    "crm.objects.companies.read",
    "crm.objects.companies.write",
    "crm.schemas.companies.read",
    "crm.schemas.companies.write",
]


@pytest.fixture
async def twin(kyb):
    """A Company of portal 101 and one of portal 102 with the same id; u2 is connected to 102."""
    await kyb.broker.connects("u2", portal=102)
    company = kyb.company()
    kyb.broker.hubspot.portals[102].next_id = int(company)
    await kyb.broker.asks("POST", f"{KYB_PATH}/setup", json={"userForeignIdentifier": "u2"})
    assert kyb.company(portal=102, name="A stranger", kyb_contact_email="x@y.example") == company
    kyb.broker.hubspot.seen.clear()
    return company


def properties(kyb, company, portal=102):
    found = kyb.broker.hubspot.portals[portal]
    record = found.of(found.type("companies")).by_id[company]
    return {name: value for name, value in record.properties.items() if name.startswith("fml_")}


async def puts(kyb, **settings):
    answer = await kyb.broker.asks("PUT", SETTINGS, json={**CLIENT, **settings})
    assert answer.status == 200, answer.body
    return answer.json()


async def test_one_fml_client_serves_the_account_of_its_first_case_in_every_app(kyb, twin):
    """2.1: the other account's Company must not get the first one's case."""
    await kyb.broker.registers("other", clientId="c2", scopes=COMPANY_SCOPES)
    await kyb.broker.connects("u3", portal=102, slug="other")
    body = {**CLIENT, "clientSecret": "sk_live_canary_of_fml"}
    await kyb.broker.asks("PUT", "/api/apps/other/recipes/kyb", json=body)
    first = await kyb.kicks_off(twin)
    kickoff = {"userForeignIdentifier": "u3", "companyId": twin}

    second = await kyb.broker.asks("POST", "/api/recipes/kyb/other", json=kickoff)
    dry = await kyb.broker.asks("POST", "/api/recipes/kyb/other", json={**kickoff, "dryRun": True})
    same_app = await kyb.kicks_off(twin, userForeignIdentifier="u2")

    assert first.status == 201
    for refused in (second, dry, same_app):
        assert (refused.status, refused.code) == (409, "other-account")
        assert '"recordIds": "account"' in refused.json()["detail"]
        assert first.json()["caseId"] not in refused.body.decode()
    assert (len(kyb.requests_to_fml()), len(kyb.fml.fml.cases)) == (1, 1)
    assert properties(kyb, twin) == {}


async def test_one_fml_client_serves_one_account_across_workspaces(kyb, twin):
    """2.1: FML knows no workspaces either."""
    first = await kyb.kicks_off(twin)
    tenant, key = kyb.broker, kyb.broker.key
    await tenant.makes_workspace()
    await tenant.registers("hbdev", clientId="c3", scopes=COMPANY_SCOPES)
    await tenant.connects("u9", portal=102)
    await puts(kyb, clientSecret="sk_live_canary_of_fml")

    refused = await kyb.kicks_off(twin, userForeignIdentifier="u9")

    assert (tenant.key != key, first.status) == (True, 201)
    assert (refused.status, refused.code) == (409, "other-account")
    assert len(kyb.requests_to_fml()) == 1


async def test_a_client_id_without_its_secret_reveals_and_reserves_nothing(kyb, twin):
    """Another workspace names a client whose secret it does not have."""
    tenant = kyb.broker
    workspace, key = tenant.workspace, tenant.key
    await tenant.makes_workspace()
    await tenant.registers("hbdev", clientId="c3", scopes=COMPANY_SCOPES)
    await tenant.connects("u9", portal=102)
    await puts(kyb, clientSecret="not-the-secret")
    early = await kyb.kicks_off(twin, userForeignIdentifier="u9")
    reserved = await tenant.parts.database.fetchval("SELECT count(*) FROM vendor_account")
    stranger, tenant.workspace, tenant.key = tenant.key, workspace, key
    first = await kyb.kicks_off(twin)
    own = (await tenant.asks("GET", SETTINGS)).json()["hubId"]
    shown = (await tenant.asks("GET", SETTINGS, key=stranger)).json()["hubId"]
    body = {"userForeignIdentifier": "u9", "companyId": twin}
    late = await tenant.asks("POST", KYB_PATH, key=stranger, json=body)

    assert (early.code, late.code) == ("vendor-credentials-refused",) * 2
    assert (reserved, first.status) == (0, 201)
    assert (own, shown) == (101, None)


async def test_two_first_kickoffs_at_once_serve_one_account(kyb, twin):
    await kyb.broker.registers("other", clientId="c2", scopes=COMPANY_SCOPES)
    await kyb.broker.connects("u3", portal=102, slug="other")
    body = {**CLIENT, "clientSecret": "sk_live_canary_of_fml"}
    await kyb.broker.asks("PUT", "/api/apps/other/recipes/kyb", json=body)
    slow = kyb.fml.fml.faults.add(Fault("/v1/cases", "delay", seconds=0.6, times=1))
    first = asyncio.create_task(kyb.kicks_off(twin))
    await until(lambda: slow.hits)
    kickoff = {"userForeignIdentifier": "u3", "companyId": twin}
    second = asyncio.create_task(kyb.broker.asks("POST", "/api/recipes/kyb/other", json=kickoff))
    await first

    async def answered():
        await kyb.broker.parts.recipes.runs.work_due()
        return second.done()

    await until(answered)

    answers = [first.result(), second.result()]

    assert sorted(each.status for each in answers) == [201, 409]
    assert (slow.hits, len(kyb.fml.fml.cases)) == (1, 1)


async def test_the_first_case_fills_in_the_account_and_a_failed_kickoff_does_not(kyb, twin):
    before = (await kyb.broker.asks("GET", SETTINGS)).json()["hubId"]
    body = '{"error":"validation_error"}'
    kyb.fml.fml.faults.add(Fault("/v1/cases", "status", status=400, body=body, times=1))
    failed = await kyb.kicks_off(twin)
    unbound = (await kyb.broker.asks("GET", SETTINGS)).json()["hubId"]
    await kyb.broker.parts.database.execute("UPDATE vendor_account SET reserved_until = now()")

    other = await kyb.kicks_off(twin, userForeignIdentifier="u2")

    assert (before, failed.status, unbound) == (None, 422, None)
    assert (other.status, other.json()["created"]) == (201, True)
    assert (await kyb.broker.asks("GET", SETTINGS)).json()["hubId"] == 102
    assert (await kyb.kicks_off(twin)).code == "other-account"
    assert properties(kyb, twin)["fml_case_id"] == other.json()["caseId"]


async def test_settings_may_name_the_account_before_the_first_case(kyb, twin):
    assert (await puts(kyb, hubId=102))["hubId"] == 102

    refused = await kyb.kicks_off(twin)
    allowed = await kyb.kicks_off(twin, userForeignIdentifier="u2")

    assert (refused.status, refused.code) == (409, "other-account")
    assert allowed.status == 201


async def test_ids_with_their_account_serve_any_number_of_accounts(kyb, twin):
    await puts(kyb, recordIds="account")

    first = await kyb.kicks_off(twin)
    second = await kyb.kicks_off(twin, userForeignIdentifier="u2")
    await kyb.sends_fml_event(
        {
            "event": "case.status.changed",
            "eventId": "e-1",
            "timestamp": "2026-01-02T03:04:05Z",
            "caseId": second.json()["caseId"],
            "crmRecordId": f"102-{twin}",
            "status": "approved",
        }
    )
    await kyb.run_background_work()

    assert [each.key for each in kyb.requests_to_fml()] == [
        f"hubspot-101-{twin}",
        f"hubspot-102-{twin}",
    ]
    assert [each.json()["crmRecordId"] for each in (first, second)] == [
        f"101-{twin}",
        f"102-{twin}",
    ]
    assert len(kyb.fml.fml.cases) == 2
    assert kyb.shows(twin)["fml_case_status"] == "in-progress"
    assert properties(kyb, twin)["fml_case_status"] == "approved"
    assert (await kyb.broker.asks("GET", SETTINGS)).json()["hubId"] is None


async def test_cases_made_before_the_switch_keep_their_ids(kyb, twin):
    old = await kyb.kicks_off(twin)
    await puts(kyb, recordIds="account")

    again = await kyb.kicks_off(twin)
    other = await kyb.kicks_off(twin, userForeignIdentifier="u2")
    new = await kyb.kicks_off(kyb.company())

    assert (again.status, again.json()["caseId"]) == (200, old.json()["caseId"])
    assert again.json()["crmRecordId"] == twin
    assert (other.status, other.json()["crmRecordId"]) == (201, f"102-{twin}")
    assert new.json()["crmRecordId"].startswith("101-")


async def test_a_case_event_reaches_only_the_account_in_which_the_run_began(kyb, twin):
    """2.2: the user reconnects to another account, then FML decides."""
    case_id = (await kyb.kicks_off(twin)).json()["caseId"]
    await kyb.broker.asks("DELETE", "/api/saas-org-user/delete-user/hbdev?userForeignIdentifier=u1")
    await kyb.broker.connects("u1", portal=102)
    kyb.broker.hubspot.seen.clear()
    sent = await kyb.sends_fml_event(
        {
            "event": "case.decision.made",
            "eventId": "e-1",
            "timestamp": "2026-01-02T03:04:05Z",
            "caseId": case_id,
            "decision": "REJECTED",
        }
    )
    await kyb.run_background_work()

    assert sent.status == 204
    assert properties(kyb, twin) == {}
    assert kyb.writes() == []
    error = await kyb.broker.parts.database.fetchval("SELECT last_error FROM recipe_task")
    assert error == "other-account"


async def test_a_run_is_retried_in_its_own_account_only(kyb, twin):
    """2.2: what the other account's Company holds goes to nobody."""
    kyb.change(twin, kyb_contact_email="")
    failed = await kyb.kicks_off(twin)
    await kyb.broker.asks("DELETE", "/api/saas-org-user/delete-user/hbdev?userForeignIdentifier=u1")
    await kyb.broker.connects("u1", portal=102)
    run_id = failed.json()["runId"]

    retried = await kyb.broker.asks("POST", f"/api/recipes/runs/{run_id}/retry")
    await kyb.run_background_work()
    run = await kyb.run(run_id)

    assert (failed.status, retried.status) == (422, 202)
    assert (run["state"], run["problem"]["code"], run["hubId"]) == ("failed", "other-account", 101)
    assert kyb.requests_to_fml() == []
    assert properties(kyb, twin) == {}


async def test_an_account_that_changes_while_a_call_waits_is_not_written(kyb, twin, database):
    """2.2: the account is judged on the very connection that is used."""
    hold = kyb.fml.fml.faults.add(Fault("/v1/cases", "delay", seconds=0.8, times=1))
    kickoff = asyncio.create_task(kyb.kicks_off(twin))
    await until(lambda: hold.hits)
    await database.execute(
        "UPDATE connection SET hub_id = 102, account_id = '102' WHERE user_ref = 'u1'"
    )
    kyb.broker.parts.proxy.clear_cache()

    answer = await kickoff

    assert (answer.status, answer.code) == (409, "other-account")
    assert kyb.writes() == []


async def test_a_workflow_is_answered_in_the_account_of_its_run_only(
    kyb, twin, database, monkeypatch
):
    """2.2: the user reconnects while HubSpot waits for the action."""
    monkeypatch.setattr("broker.recipes.starts.workflow_actions.WAIT_S", 0.1)
    kyb.fml.fml.faults.add(Fault("/v1/cases", "delay", seconds=1.0, times=1))
    body = {
        "clientId": "client-of-hbdev",
        "url": kyb.settings["actionUrl"],
        "hubId": 101,
        "objectType": "companies",
        "objectId": twin,
    }
    address = f"{kyb.broker.hubspot.url}/_sandbox/workflow-actions"
    waiting = (await kyb.broker.asks("POST", address, json=body)).json()
    await database.execute(
        "UPDATE connection SET hub_id = 102, account_id = '102' WHERE user_ref = 'u1'"
    )
    kyb.broker.parts.proxy.clear_cache()

    await kyb.run_background_work()

    ended = (await kyb.broker.asks("GET", f"{address}/{waiting['callback_id']}")).json()
    assert (waiting["state"], ended["state"]) == ("ASYNC", "ASYNC")
    assert await database.fetchval("SELECT last_error FROM recipe_task") == "other-account"
    assert kyb.writes() == []


async def test_a_newer_grant_of_another_account_is_not_used(kyb, twin):
    """2.2: the token dies while a call is under way, and its replacement is another account's."""
    path = f"/crm/v3/objects/companies/{twin}"
    slow = Fault(path, "delay", method="PATCH", seconds=1.0, times=1)
    kyb.broker.hubspot.faults.add(slow)
    kickoff = asyncio.create_task(kyb.kicks_off(twin))
    await until(lambda: slow.hits)
    back = await kyb.broker.connects("u1", portal=102, returnUrl=RETURN_URL)
    code = {"confirm": back.location[2]["confirm"], "userForeignIdentifier": "u1"}
    confirmed = await kyb.broker.asks("POST", "/api/connections/confirm", json=code)
    kyb.broker.hubspot.expire_access_tokens(101)

    answer = await kickoff

    assert confirmed.json()["hubId"] == 102
    assert (answer.status, answer.code) == (409, "other-account")
    assert properties(kyb, twin) == {}


async def test_a_failed_run_of_another_account_does_not_hold_a_record_id(kyb, twin):
    """2.6: a card of one account names Companies of another."""
    missing = str(int(twin) + 1000)
    squatted = await kyb.kicks_off(missing)
    kyb.broker.hubspot.portals[102].next_id = int(missing)
    assert kyb.company(portal=102) == missing

    answer = await kyb.kicks_off(missing, userForeignIdentifier="u2")

    assert (squatted.status, squatted.code) == (422, "input-refused")
    assert answer.status == 201
    assert answer.json()["runId"] == squatted.json()["runId"]
    run = await kyb.run(answer.json()["runId"])
    assert (run["userForeignIdentifier"], run["hubId"]) == ("u2", 102)
    assert [step["attempts"] for step in run["steps"]] == [1, 1, 1, 1]


async def test_no_two_records_share_a_subject_or_a_key(kyb):
    """2.7: a hyphen in a source is escaped."""
    record = {"customerEmail": "a@b.example"}
    first = {**record, "crmSource": "pipe-drive", "crmRecordId": "77"}
    second = {**record, "crmSource": "pipe", "crmRecordId": "drive-77"}

    answers = [await kyb.broker.asks("POST", KYB_PATH, json=each) for each in (first, second)]

    assert [each.status for each in answers] == [201, 201]
    assert len({each.json()["caseId"] for each in answers}) == 2
    assert [each.key for each in kyb.requests_to_fml()] == ["pipe%2Ddrive-77", "pipe-drive-77"]
    assert answers[0].json()["crmSource"] == "pipe-drive"


async def test_a_failed_run_that_is_kicked_off_again_acts_for_the_new_user(kyb):
    """2.8: the first user has left."""
    company = kyb.company(kyb_contact_email="")
    await kyb.broker.connects("u2", portal=101)
    failed = await kyb.kicks_off(company)
    await kyb.broker.asks("DELETE", "/api/saas-org-user/delete-user/hbdev?userForeignIdentifier=u1")
    kyb.change(company, kyb_contact_email="jane@acme.example")

    answer = await kyb.kicks_off(company, userForeignIdentifier="u2")

    assert (failed.status, answer.status) == (422, 201)
    run = await kyb.run(answer.json()["runId"])
    assert run["userForeignIdentifier"] == "u2"
    assert kyb.shows(company)["fml_case_id"] == answer.json()["caseId"]


@pytest.mark.parametrize(
    "other", [{"crmRecordId": "another", "crmSource": "hubspot"}, {"crmSource": "airtable"}]
)
async def test_a_case_that_fml_returns_for_another_record_is_refused(kyb, other):
    company = kyb.company()
    case = {"caseId": "CS-1", "status": "approved", "crmRecordId": company, **other}
    kyb.fml.fml.faults.add(Fault("/v1/cases", "status", status=200, body=json.dumps(case), times=1))

    answer = await kyb.kicks_off(company)

    assert (answer.status, answer.code) == (409, "other-account")
    assert kyb.shows(company) == {}


async def test_a_case_that_another_run_has_is_refused(kyb):
    first = await kyb.kicks_off(kyb.company())
    case = {"caseId": first.json()["caseId"], "status": "approved"}
    kyb.fml.fml.faults.add(Fault("/v1/cases", "status", status=200, body=json.dumps(case), times=1))
    company = kyb.company()

    answer = await kyb.kicks_off(company)

    assert (first.status, answer.status, answer.code) == (201, 409, "other-account")
    assert kyb.shows(company) == {}


@pytest.fixture
async def card(kyb):
    """A call of a card of portal 101, as HubSpot signs it."""

    async def call(company, query="", **more):
        body = {
            "clientId": "client-of-hbdev",
            "url": kyb.settings["actionUrl"] + query,
            "hubId": 101,
            "body": {"companyId": company, "customerEmail": "eve@evil.example"},
            **more,
        }
        path = f"{kyb.broker.hubspot.url}/_sandbox/ui-extension-calls"
        return (await kyb.broker.asks("POST", path, json=body)).json()

    return call


async def test_a_card_starts_nothing_unless_the_settings_allow_it(kyb, card):
    company = kyb.company()

    refused = await card(company)
    await puts(kyb, cards=True)
    allowed = await card(company)

    assert refused["body"]["outputFields"]["ok"] is False
    assert refused["body"]["outputFields"]["error"].startswith("call-refused")
    assert allowed["body"]["outputFields"]["ok"] is True


async def test_a_card_overrides_nothing(kyb, card):
    """2.3, 2.17: the invite goes to the Company's own contact."""
    await puts(kyb, cards=True)

    await card(kyb.company())

    case = next(iter(kyb.fml.fml.cases.values()))
    assert case.fields["customerEmail"] == "jane@acme.example"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?portalId=102", "portalId"),
        ("?portalId=101", "portalId"),
        ("?userId=5", "userId"),
        ("?appId=1234567", "appId"),
    ],
)
async def test_a_signed_parameter_that_stands_twice_is_refused(kyb, card, twin, query, field):
    """2.3: HubSpot appends its parameters to whatever the caller wrote."""
    await puts(kyb, cards=True)

    refused = await card(twin, query)

    assert refused["status"] == 400
    assert refused["body"]["errors"][0]["field"] == field
    assert kyb.fml.fml.cases == {}


async def test_a_card_of_another_app_is_refused(kyb, card):
    await puts(kyb, cards=True)
    kyb.broker.hubspot.apps["client-of-hbdev"].app_id = 7

    refused = await card(kyb.company())

    assert refused["status"] == 400
    assert refused["body"]["errors"] == [{"field": "appId", "message": "is not this app's"}]
