"""KYB kickoff as backends meet it: one case for one record, whatever happens on the way."""

import asyncio
import json
from datetime import timedelta
from uuid import UUID

import pytest

from broker.crm.records import HubSpotUser, RecordWriter
from broker.errors import NotAllowed
from broker.sandbox.core.faults import Fault
from tests.until import until

RECORD = {
    "crmRecordId": "lead-77",
    "crmSource": "Pipedrive",
    "customerEmail": "joe@globex.example",
    "customerName": "Joe",
    "companyName": "Globex",
    "country": "France",
}


async def until_ended(kyb, run_id):
    """Let retries happen now, until the run ends."""
    for _ in range(40):
        await kyb.broker.parts.database.execute(
            "UPDATE recipe_run SET due_at = now() WHERE due_at IS NOT NULL"
        )
        await kyb.run_background_work()
        run = await kyb.run(run_id)
        if run["state"] != "running":
            return run
    return run


async def test_a_company_becomes_one_case_and_shows_it(kyb):
    company = kyb.company()

    answer = await kyb.kicks_off(company)
    again = await kyb.kicks_off(company)

    case = next(iter(kyb.fml.fml.cases.values()))
    payload = answer.json()
    assert answer.status == 201
    assert payload == {
        "ok": True,
        "runId": payload["runId"],
        "caseId": case.case_id,
        "created": True,
        "status": "in-progress",
        "customerPortalUrl": "https://app.firstmilelabs.com/",
        "analystUrl": f"https://cases.firstmilelabs.com/?case={case.case_id}",
        "inviteSentAt": case.invited_at,
        "crmRecordId": company,
        "crmSource": "hubspot",
        "writtenBack": True,
    }
    assert case.fields == {
        "customerEmail": "jane@acme.example",
        "customerName": "Jane Doe",
        "companyName": "Acme Holdings Ltd",
        "country": "United Kingdom",
        "crmRecordId": company,
        "crmSource": "hubspot",
        "sendInvite": True,
    }
    assert kyb.requests_to_fml()[0].key == f"hubspot-{company}"
    assert kyb.shows(company)["fml_case_id"] == case.case_id
    assert kyb.shows(company)["fml_case_status"] == "in-progress"
    assert again.status == 200
    assert again.json() == {**payload, "created": False}
    assert (len(kyb.requests_to_fml()), len(kyb.writes())) == (1, 1)


async def test_calls_that_a_run_makes_at_hubspot_are_in_the_call_log(kyb):
    await kyb.kicks_off(kyb.company())
    await kyb.broker.parts.call_log.flush()

    calls = (await kyb.broker.asks("GET", "/api/apps/hbdev/calls")).json()["calls"]
    company = [each for each in calls if "/objects/companies" in each["path"]]
    assert [(each["method"], each["status"]) for each in company] == [("PATCH", 200), ("GET", 200)]


async def test_any_crm_starts_a_case_without_a_connection(kyb):
    asks = kyb.broker.asks
    answer = await asks("POST", "/api/recipes/kyb/hbdev", json=RECORD)
    again = await asks("POST", "/api/recipes/kyb/hbdev", json=RECORD)
    form = await asks("POST", "/api/recipes/kyb/hbdev", data={**RECORD, "crmRecordId": "8"})

    assert [each.status for each in (answer, again, form)] == [201, 200, 201]
    assert answer.json()["crmSource"] == "pipedrive"
    assert answer.json()["writtenBack"] is False
    assert [each.key for each in kyb.requests_to_fml()] == ["pipedrive-lead-77", "pipedrive-8"]
    assert kyb.writes() == []


async def test_fifty_clicks_on_two_replicas_make_one_case_and_one_answer(kyb, second_kyb):
    """J1, J2."""
    company = kyb.company()
    # So that the last of them comes before the case is made, on a busy machine too.
    kyb.fml.fml.faults.add(Fault("/v1/cases", "delay", seconds=2.0, times=1))

    answers = await asyncio.gather(
        *(kyb.kicks_off(company, one) for one in [kyb.broker, second_kyb] for _ in range(25))
    )

    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert len(kyb.fml.fml.cases) == 1
    assert (len(kyb.requests_to_fml()), len(kyb.writes())) == (1, 1)
    assert len(kyb.requests_to_fml("/v1/oauth/token")) == 1


async def test_a_caller_waits_for_a_run_in_another_process_until_it_ends(kyb, second_kyb):
    company = kyb.company()
    slow = kyb.fml.fml.faults.add(Fault("/v1/cases", "delay", seconds=0.5, times=1))
    starting = asyncio.create_task(kyb.kicks_off(company))
    await until(lambda: slow.hits)
    listed = (await second_kyb.asks("GET", "/api/recipes/kyb/hbdev/runs")).json()["runs"]
    runs, workspace = second_kyb.parts.recipes.runs, UUID(kyb.broker.workspace)

    async with asyncio.timeout(20):
        ended = await runs.wait(workspace, UUID(listed[0]["runId"]), 3600)

    assert (listed[0]["state"], ended.state) == ("running", "done")
    assert (await starting).json()["caseId"] == ended.result["caseId"]


async def test_a_step_that_takes_longer_than_its_lease_keeps_its_run(kyb, second_kyb, monkeypatch):
    """J1: the lease beats."""
    monkeypatch.setattr("broker.services.runs.engine.LEASE", timedelta(seconds=0.6))
    monkeypatch.setattr("broker.services.runs.engine.HEARTBEAT_S", 0.1)
    slow = kyb.fml.fml.faults.add(Fault("/v1/cases", "delay", seconds=2.0, times=1))
    starting = asyncio.create_task(kyb.kicks_off(kyb.company()))

    async def started():
        await second_kyb.parts.recipes.runs.work_due()
        return starting.done()

    await until(started)

    answer = await starting
    assert (slow.hits, answer.status, len(kyb.requests_to_fml())) == (1, 201, 1)
    assert await kyb.broker.parts.database.fetchval("SELECT claim FROM recipe_run") == 1


async def test_replicas_share_one_token_sealed(kyb, second_kyb, database):
    companies = [kyb.company() for _ in range(12)]

    answers = await asyncio.gather(
        *(
            kyb.kicks_off(company, one)
            for company, one in zip(companies, [kyb.broker, second_kyb] * 6, strict=True)
        )
    )

    assert {answer.status for answer in answers} == {201}
    assert len(kyb.requests_to_fml("/v1/oauth/token")) == 1
    stored = await database.fetchval("SELECT vendor_client::text FROM vendor_client")
    secrets = await database.fetchval("SELECT recipe_setting::text FROM recipe_setting")
    token = next(iter(kyb.fml.fml.tokens))
    for secret in (token, "canary"):
        for text in (stored, secrets):
            assert secret not in text
            assert secret.encode().hex() not in text


async def test_a_lost_response_is_repeated_and_makes_no_second_case(kyb):
    """J2: the work is done, the answer never comes; then it works again."""
    company = kyb.company()
    kyb.fml.fml.faults.add(Fault("/v1/cases", "lose-answer", times=1))
    kyb.broker.hubspot.faults.add(
        Fault(f"/crm/v3/objects/companies/{company}", "lose-answer", method="PATCH", times=1)
    )

    answer = kyb.kicks_off(company)
    task = asyncio.create_task(answer)

    async def answered():
        await kyb.run_background_work()
        return task.done()

    await until(answered)
    answer = task.result()

    assert answer.status == 201
    assert answer.json()["created"] is True
    assert len(kyb.fml.fml.cases) == 1
    assert [each.key for each in kyb.requests_to_fml()] == [f"hubspot-{company}"] * 2
    assert kyb.shows(company)["fml_case_id"] == answer.json()["caseId"]
    steps = (await kyb.run(answer.json()["runId"]))["steps"]
    assert [step["attempts"] for step in steps] == [1, 1, 2, 2]


async def test_missing_fields_are_named_and_a_correction_starts_the_run_again(kyb):
    for address, word in (("", "is empty"), ("not-an-address", "is not an e-mail address")):
        company = kyb.company(kyb_contact_email=address)
        refused = await kyb.kicks_off(company)
        kyb.change(company, kyb_contact_email="right@acme.example")
        corrected = await kyb.kicks_off(company)

        assert (refused.status, refused.code) == (422, "input-refused")
        assert refused.json()["errors"] == [
            {"field": "kyb_contact_email", "message": f"{word} on the Company"}
        ]
        assert corrected.status == 201
        assert corrected.json()["runId"] == refused.json()["runId"]
    record = await kyb.broker.asks(
        "POST", "/api/recipes/kyb/hbdev", json={**RECORD, "customerEmail": "nobody"}
    )
    assert record.json()["errors"][0]["field"] == "customerEmail"
    assert len(kyb.requests_to_fml()) == 2


async def test_a_corrected_mail_does_not_get_the_old_refusal_again(kyb):
    """FML keeps the 400 under the key; the broker's own check lets this address pass."""
    company = kyb.company(kyb_contact_email="jane@acme.example")
    body = '{"error":"validation_error","fieldErrors":[{"path":["customerEmail"],"message":"bounces"}]}'
    fault = kyb.fml.fml.faults.add(Fault("/v1/cases", "status", status=400, body=body, times=1))
    refused = await kyb.kicks_off(company)
    kyb.change(company, kyb_contact_email="jane.doe@acme.example")

    retried = await kyb.broker.asks("POST", f"/api/recipes/runs/{refused.json()['runId']}/retry")
    await kyb.run_background_work()
    run = await kyb.run(refused.json()["runId"])

    assert fault.hits == 1
    assert (refused.status, refused.code) == (422, "input-refused")
    assert refused.json()["vendorError"] == {
        "status": 400,
        "error": "validation_error",
        "fields": [{"field": "customerEmail", "message": "bounces"}],
    }
    assert retried.status == 202
    assert (run["state"], run["result"]["created"]) == ("done", True)
    first, second = (each.key for each in kyb.requests_to_fml())
    assert first == f"hubspot-{company}"
    assert second.startswith(f"hubspot-{company}-")
    case = next(iter(kyb.fml.fml.cases.values()))
    assert case.fields["customerEmail"] == "jane.doe@acme.example"


async def test_each_refusal_of_fml_says_what_to_do(kyb):
    fml, asks = kyb.fml.fml, kyb.broker.asks
    outcomes = []

    async def tries(company=None):
        answer = await kyb.kicks_off(company or kyb.company())
        outcomes.append((answer.status, answer.code, answer.json()["vendorError"]["error"]))
        return answer

    fml.clients["pk_live_tests"].client_secret = "another"
    stale = await tries()
    fml.clients["pk_live_tests"].client_secret = "sk_live_canary_of_fml"
    fml.clients["pk_live_tests"].scopes.remove("cases:write")
    await tries()
    fml.clients["pk_live_tests"].scopes.append("cases:write")
    company = kyb.company()
    fml.keys["org", f"hubspot-{company}"] = type(
        "Kept", (), {"endpoint": "POST /v1/other", "at": 0, "body": b""}
    )()
    conflict = await tries(company)
    fml.levers.error_list = ""
    company = kyb.company(kyb_contact_email="jane@acme.example")
    fml.faults.add(
        Fault("/v1/cases", "status", status=400, body='{"error":"validation_error"}', times=1)
    )
    await tries(company)
    retried = await asks("POST", f"/api/recipes/runs/{conflict.json()['runId']}/retry")
    await kyb.run_background_work()

    assert outcomes == [
        (502, "vendor-credentials-refused", "invalid_client"),
        (502, "vendor-scope-missing", "insufficient_scope"),
        (409, "idempotency-key-conflict", "idempotency_key_conflict"),
        (422, "input-refused", "validation_error"),
    ]
    assert "console" in stale.json()["detail"]
    assert retried.status == 202
    assert (await kyb.run(conflict.json()["runId"]))["state"] == "done"


async def test_a_revoked_token_is_replaced_once(kyb):
    await kyb.kicks_off(kyb.company())
    kyb.fml.fml.revoke_tokens()

    answer = await kyb.kicks_off(kyb.company())

    assert answer.status == 201
    assert len(kyb.requests_to_fml("/v1/oauth/token")) == 2


async def test_a_case_of_another_shape_is_a_case(kyb):
    """FML's pages show two shapes of case ids, and promise more fields, not the same types."""
    body = '{"caseId":"CS-2026-00471","status":null,"inviteSentAt":5,"analystUrl":{},"more":[1]}'
    kyb.fml.fml.faults.add(Fault("/v1/cases", "status", status=201, body=body, times=1))
    company = kyb.company()

    answer = await kyb.kicks_off(company)

    payload = answer.json()
    assert (answer.status, payload["caseId"], payload["inviteSentAt"]) == (
        201,
        "CS-2026-00471",
        "5",
    )
    assert (payload["status"], payload["analystUrl"], payload["customerPortalUrl"]) == (
        None,
        None,
        None,
    )
    assert kyb.shows(company) == {"fml_case_id": "CS-2026-00471"}


async def test_a_revoked_client_is_reported_with_the_error_of_fml(kyb):
    body = '{"error":"invalid_token"}'
    kyb.fml.fml.faults.add(Fault("/v1/cases", "status", status=401, body=body))

    answer = await kyb.kicks_off(kyb.company())

    assert (answer.status, answer.code) == (502, "vendor-credentials-refused")
    assert answer.json()["vendorError"] == {"status": 401, "error": "invalid_token", "fields": []}
    assert len(kyb.requests_to_fml("/v1/oauth/token")) == 2


async def test_limits_are_kept_without_a_single_refusal(kyb, second_kyb, database):
    body = {"clientId": "pk_live_tests", "callsPerMinute": 15}
    await kyb.broker.asks("PUT", "/api/apps/hbdev/recipes/kyb", json=body)
    kyb.fml.fml.levers.call_limit = 3
    runs = []
    for number, one in enumerate([kyb.broker, second_kyb] * 3):
        kickoff = {**RECORD, "crmRecordId": str(number)}
        runs.append(asyncio.create_task(one.asks("POST", "/api/recipes/kyb/hbdev", json=kickoff)))
    done, waiting = await asyncio.wait(runs, timeout=3)
    for task in waiting:
        task.cancel()

    notes = await database.fetch("SELECT checkpoint FROM recipe_step WHERE state = 'waiting'")
    assert (len(done), len(waiting), len(notes)) == (3, 3, 3)
    assert kyb.fml.fml.refused_calls == 0
    assert len(kyb.fml.fml.cases) == 3


async def test_throttling_pauses_every_replica(kyb, second_kyb):
    body = '{"error":"rate_limited"}'
    fault = Fault("/v1/cases", "status", status=429, headers={"Retry-After": "30"}, body=body)
    kyb.fml.fml.faults.add(fault)

    answers = [
        asyncio.create_task(kyb.kicks_off(kyb.company(), one))
        for one in (kyb.broker, second_kyb)
        for _ in range(3)
    ]
    done, waiting = await asyncio.wait(answers, timeout=2)
    for task in waiting:
        task.cancel()

    assert not done
    assert fault.hits <= 6
    listed = (await kyb.broker.asks("GET", "/api/recipes/kyb/hbdev/runs?state=running")).json()
    assert len(listed["runs"]) == 6
    kyb.fml.fml.faults.clear()
    before = len(kyb.requests_to_fml())
    await kyb.broker.parts.database.execute(
        "UPDATE recipe_run SET due_at = now() WHERE due_at IS NOT NULL"
    )
    await kyb.run_background_work()
    assert len(kyb.requests_to_fml()) == before


async def test_a_run_fails_with_a_reason_when_the_vendor_stays_unavailable_and_a_retry_completes_it(
    kyb, subscribed_receiver
):
    """J5: tried eleven times, told once, shown with its reason."""
    company = kyb.company()
    kyb.fml.fml.faults.add(Fault("/v1/cases", "status", status=503, body="away"))
    task = asyncio.create_task(kyb.kicks_off(company))
    await asyncio.sleep(0.5)
    listed = (await kyb.broker.asks("GET", "/api/recipes/kyb/hbdev/runs")).json()["runs"]

    dead = await until_ended(kyb, listed[0]["runId"])
    refused = await task
    kyb.fml.fml.faults.clear()
    again = await kyb.kicks_off(company)
    await kyb.broker.run_background_work()

    assert (dead["state"], dead["problem"]["code"]) == ("failed", "vendor-unavailable")
    assert dead["problem"]["detail"] == "First Mile Labs answered 503."
    assert dead["steps"][2]["attempts"] == 11
    assert (refused.status, refused.code) == (502, "vendor-unavailable")
    assert again.status == 201
    assert again.json()["runId"] == dead["runId"]
    outcomes = [each.json() for each in subscribed_receiver.got]
    assert [each["data"]["state"] for each in outcomes] == ["failed", "done"]
    assert {each["type"] for each in outcomes} == {"recipe.run.finished"}


async def test_a_dry_run_changes_nothing_and_shows_what_a_real_one_does(kyb, database):
    """J7."""
    company = kyb.company()

    dry = await kyb.kicks_off(company, dryRun=True, country="Japan")
    kept = await database.fetchval("SELECT count(*) FROM recipe_run")
    touched = kyb.writes(), list(kyb.fml.fml.seen)
    real = await kyb.kicks_off(company, country="Japan")
    refused = await kyb.kicks_off(kyb.company(kyb_contact_email=""), dryRun=True)

    payload = dry.json()
    assert dry.status == 200
    assert (kept, touched) == (0, ([], []))
    assert {each.method for each in kyb.broker.hubspot.seen if each not in kyb.writes()} == {"GET"}
    sent = kyb.requests_to_fml()[0]
    assert payload["wouldSend"]["headers"]["Idempotency-Key"] == sent.key
    assert payload["wouldSend"]["body"] == json.loads(sent.body)
    assert payload["wouldSend"]["body"]["country"] == "Japan"
    assert payload["missingProperties"] == []
    written = json.loads(kyb.writes()[0].body)["properties"]
    would = payload["wouldWrite"]["properties"]
    assert {**would, "fml_case_id": real.json()["caseId"]} == written
    assert (refused.status, refused.code) == (422, "input-refused")


async def test_the_reader_of_a_dry_run_cannot_write(kyb):
    """J7: there is nothing to call; and were there, the proxy would refuse it."""
    user = HubSpotUser(UUID(kyb.broker.workspace), "hbdev", "u1", 101)
    reader = kyb.broker.parts.recipes.crm.reader(user)
    company = kyb.company()
    writing = {"update", "upsert", "associate", "create_property", "complete_action"}

    with pytest.raises(NotAllowed):
        await RecordWriter.update(reader, "companies", company, {"name": "x"})

    assert not writing & set(dir(reader))
    assert kyb.writes() == []


async def test_a_dry_run_knows_what_was_done_and_what_was_refused(kyb):
    """J7."""
    company, body = kyb.company(), '{"error":"validation_error"}'
    kyb.fml.fml.faults.add(Fault("/v1/cases", "status", status=400, body=body, times=1))
    refused = await kyb.kicks_off(company)
    kyb.change(company, kyb_contact_email="jane.doe@acme.example")
    corrected = (await kyb.kicks_off(company, dryRun=True)).json()
    real = (await kyb.kicks_off(company)).json()
    before = len(kyb.requests_to_fml()), len(kyb.writes())
    again = (await kyb.kicks_off(company, dryRun=True)).json()

    assert (refused.status, corrected["state"], corrected["caseId"]) == (422, "failed", None)
    sent = kyb.requests_to_fml()[-1]
    assert corrected["wouldSend"]["headers"]["Idempotency-Key"] == sent.key
    assert sent.key != f"hubspot-{company}"
    assert (again["wouldSend"], again["wouldWrite"]) == (None, None)
    assert (again["runId"], again["caseId"]) == (real["runId"], real["caseId"])
    assert (len(kyb.requests_to_fml()), len(kyb.writes())) == before


async def test_one_users_account_cannot_take_anothers_case(kyb):
    await kyb.broker.connects("u2", portal=102)
    company = kyb.company()
    kyb.broker.hubspot.portals[102].next_id = int(company)
    await kyb.broker.asks(
        "POST", "/api/recipes/kyb/hbdev/setup", json={"userForeignIdentifier": "u2"}
    )
    other = kyb.company(portal=102)
    first = await kyb.kicks_off(company)

    second = await kyb.kicks_off(other, userForeignIdentifier="u2")

    assert (first.status, other) == (201, company)
    assert (second.status, second.code) == (409, "other-account")
    assert len(kyb.fml.fml.cases) == 1


async def test_what_cannot_be_a_kickoff_is_refused(kyb):
    asks = kyb.broker.asks
    for body, code in (
        ({}, "invalid-request"),
        ({"companyId": "1"}, "invalid-request"),
        ({"userForeignIdentifier": "u1"}, "invalid-request"),
        ({"userForeignIdentifier": "u1", "companyId": "../1"}, "invalid-request"),
        ({"userForeignIdentifier": "u1", "companyId": "1", "crmSource": "x"}, "invalid-request"),
        ({**RECORD, "crmSource": "hubspot"}, "invalid-request"),
        ({**RECORD, "crmRecordId": "a\nb"}, "invalid-request"),
        ({"userForeignIdentifier": "nobody", "companyId": "1"}, "connection-not-found"),
        ({"userForeignIdentifier": "u1", "companyId": "99999"}, "input-refused"),
    ):
        answer = await asks("POST", "/api/recipes/kyb/hbdev", json=body)
        assert answer.code == code, body
    key = await kyb.broker.makes_key("proxy")
    assert (
        await asks("POST", "/api/recipes/kyb/hbdev", key=key, json=RECORD)
    ).code == "not-allowed"
    assert (await asks("POST", "/api/recipes/kyb/other", json=RECORD)).code == "app-not-found"
    assert (await asks("GET", "/api/recipes/runs/not-an-id")).code == "run-not-found"
    await asks("DELETE", "/api/apps/hbdev/recipes/kyb")
    assert (await asks("POST", "/api/recipes/kyb/hbdev", json=RECORD)).code == "recipe-not-found"
    assert kyb.requests_to_fml() == []


async def test_settings_are_shown_without_secrets_and_checked(kyb):
    path = "/api/apps/hbdev/recipes/kyb"
    shown = await kyb.broker.asks("GET", path)
    loop = {"clientId": "x", "trigger": {"property": "fml_case_status", "value": "x"}}
    round_and_round = await kyb.broker.asks("PUT", path, json=loop)
    wrong = await kyb.broker.asks("PUT", path, json={"clientId": "x", "properties": {"e": "x"}})
    await kyb.broker.registers("other", clientId="c2", scopes=["oauth"])
    first = await kyb.broker.asks("PUT", "/api/apps/other/recipes/kyb", json={"clientId": "x"})

    assert b"canary" not in shown.body
    assert shown.json()["hasWebhookSecret"] is True
    assert shown.json()["webhookUrl"].endswith(f"/fml/hbdev-{kyb.broker.workspace}/webhooks")
    assert round_and_round.json()["errors"][0]["field"] == "trigger.property"
    assert wrong.json()["errors"][0]["field"] == "properties.e"
    assert first.json()["errors"][0]["field"] == "clientSecret"


async def test_an_ended_grant_says_where_to_connect_again(kyb):
    await kyb.broker.parts.database.execute(
        "UPDATE connection_grant SET access_token = NULL, refresh_token = NULL,"
        " refresh_fingerprint = NULL, expires_at = NULL"
    )
    await kyb.broker.parts.database.execute("UPDATE connection SET status = 'REAUTH_REQUIRED'")

    answer = await kyb.kicks_off(kyb.company())

    assert (answer.status, answer.code) == (409, "reauth-required")
    assert "/oauth/authorize" in answer.json()["reconnectUrl"]
    assert kyb.requests_to_fml() == []


async def test_a_key_that_is_still_in_use_by_a_lost_attempt_is_waited_for(kyb):
    """FML might answer 409 while an earlier request under the key is under way."""
    company = kyb.company()
    fml = kyb.fml.fml
    fml.levers.parallel_keys = "conflict"
    body = '{"error":"idempotency_key_conflict"}'
    fml.faults.add(Fault("/v1/cases", "lose-answer", times=1))
    fml.faults.add(Fault("/v1/cases", "status", status=409, body=body, times=2))

    task = asyncio.create_task(kyb.kicks_off(company))
    await asyncio.sleep(0.3)
    listed = (await kyb.broker.asks("GET", "/api/recipes/kyb/hbdev/runs")).json()["runs"]
    run = await until_ended(kyb, listed[0]["runId"])
    answer = await task

    assert (run["state"], run["steps"][2]["attempts"]) == ("done", 4)
    assert (answer.status, answer.json()["created"]) == (201, True)
    assert {each.key for each in kyb.requests_to_fml()} == {f"hubspot-{company}"}
    assert len(fml.cases) == 1


async def test_missing_properties_are_named_and_the_setup_creates_them(kyb):
    company = kyb.company()
    kind = kyb.portal.type("companies")
    gone = kyb.portal.definitions(kind).pop("fml_case_status")

    refused = await kyb.kicks_off(company)
    made = await kyb.broker.asks(
        "POST", "/api/recipes/kyb/hbdev/setup", json={"userForeignIdentifier": "u1"}
    )
    again = await kyb.kicks_off(company)

    assert gone["name"] == "fml_case_status"
    assert (refused.status, refused.code) == (422, "input-refused")
    assert refused.json()["errors"] == [
        {"field": "fml_case_status", "message": "rejected by HubSpot"}
    ]
    assert refused.json()["caseId"] in kyb.fml.fml.cases
    assert made.json()["created"] == ["fml_case_status"]
    assert (again.status, again.json()["created"]) == (201, True)
    assert (len(kyb.fml.fml.cases), len(kyb.requests_to_fml())) == (1, 1)


async def test_stuck_runs_of_one_app_do_not_delay_those_of_another(kyb):
    """J8: seventy runs hang at HubSpot; another app's run goes through."""
    await kyb.broker.registers("other", clientId="c2", scopes=["oauth"])
    await kyb.broker.asks(
        "PUT",
        "/api/apps/other/recipes/kyb",
        json={"clientId": "pk_live_tests", "clientSecret": "sk_live_canary_of_fml"},
    )
    kyb.broker.hubspot.faults.add(Fault("/crm/v3/objects/companies/*", "hang", method="GET"))
    stuck = [asyncio.create_task(kyb.kicks_off(kyb.company())) for _ in range(70)]
    database = kyb.broker.parts.database

    async def all_started():
        counts = await database.fetchrow(
            "SELECT (SELECT count(*) FROM recipe_run), (SELECT count(*) FROM recipe_step)"
        )
        return counts[0] == 70 and counts[1] >= 15

    await until(all_started)
    await kyb.broker.parts.recipes.runs.work_due()
    begun = await kyb.broker.parts.database.fetchval("SELECT count(*) FROM recipe_step")

    async with asyncio.timeout(8):
        answer = await kyb.broker.asks("POST", "/api/recipes/kyb/other", json=RECORD)

    for task in stuck:
        task.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)
    kyb.broker.hubspot.faults.clear()
    assert answer.status == 201
    assert begun == 15
