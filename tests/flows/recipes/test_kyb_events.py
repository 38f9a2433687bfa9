"""What First Mile Labs tells: proved, kept once, applied in order, relayed, shown on the Company."""

import asyncio
import hmac
import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from broker.domain.model import Secret
from broker.errors import NotAuthenticated
from broker.providers.fml.protocol import SignatureCheck
from broker.sandbox.core.faults import Fault
from tests.until import until

VECTOR = (
    '{"event":"case.status.changed","eventId":"00000000-0000-4000-8000-000000000001",'
    '"eventVersion":1,"timestamp":"2026-01-02T03:04:05.678Z","orgId":"org_test",'
    '"crmRecordId":"12345678901","caseId":"00000000-0000-4000-8000-0000000000aa",'
    '"companyName":"Acme Ä Ltd","status":"approved","previousStatus":"in-progress",'
    '"changedBy":"analyst@example.test"}'
)
SIGNATURE = "sha256=97318b7b53712351dbd024c8b5ac64459f4704492ef81ae964054a55427ab866"


def test_the_signature_is_over_the_bytes():
    secret = Secret("test-secret-0001")

    assert len(VECTOR.encode()) == 345
    check = SignatureCheck(SIGNATURE, [Secret("a former one"), secret])
    for part in (VECTOR.encode()[:100], VECTOR.encode()[100:]):
        check.update(part)
    check.finish()
    for body in (VECTOR.encode() + b" ", VECTOR.encode()[:-1], b""):
        check = SignatureCheck(SIGNATURE, [secret])
        check.update(body)
        with pytest.raises(NotAuthenticated):
            check.finish()


def signed(body):
    return "sha256=" + hmac.digest(b"canary-fml-webhook-secret", body, "sha256").hex()


def event(company, case_id, number=1, name="case.status.changed", **more):
    return {
        "event": name,
        "eventId": f"00000000-0000-4000-8000-{number:012}",
        "eventVersion": 1,
        "timestamp": f"2026-01-02T03:{number:02}:00.000Z",
        "orgId": "org",
        "crmRecordId": company,
        "caseId": case_id,
        **more,
    }


@pytest.fixture
async def case(kyb):
    """A Company with its case."""
    company = kyb.company()
    return company, (await kyb.kicks_off(company)).json()["caseId"]


async def test_a_decision_at_fml_comes_back_to_the_company(kyb, case):
    """The whole way, through the sandbox's own sender."""
    company, case_id = case
    body = {"url": kyb.settings["webhookUrl"], "secret": "canary-fml-webhook-secret"}
    await kyb.broker.asks("POST", kyb.fml.url + "/_sandbox/webhooks", json=body)
    kyb.fml.sender.ways.duplicates = 2
    kyb.fml.sender.ways.shuffled = True

    kyb.fml.sender.move(
        kyb.fml.fml.cases[case_id], status="approved", decision="approved", stage="decision_made"
    )
    await until(lambda: len(kyb.fml.sender.sent) >= 9)
    await kyb.run_background_work()
    again = await kyb.kicks_off(company)

    assert {each.status for each in kyb.fml.sender.sent} == {204}
    shown = kyb.shows(company)
    assert shown["fml_case_id"] == case_id
    assert shown["fml_case_status"] == "approved"
    assert shown["fml_stage"] == "decision_made"
    assert shown["fml_decision"] == "approved"
    assert shown["fml_last_event_at"]
    assert len(kyb.writes()) == 2
    assert (again.status, again.json()["status"]) == (200, "approved")


async def test_only_signed_events_are_accepted(kyb, case, database):
    company, case_id = case
    payload = event(company, case_id, status="approved")
    spaced = json.dumps(payload, indent=3).encode()
    right = signed(json.dumps(payload).encode())
    url = kyb.settings["webhookUrl"]
    refused = [
        await kyb.sends_fml_event(payload, secret="another"),
        await kyb.sends_fml_event(payload, **{"X-FML-Signature": right.removeprefix("sha256=")}),
        await kyb.sends_fml_event(payload, **{"X-FML-Signature": right.upper()}),
        await kyb.sends_fml_event(spaced, **{"X-FML-Signature": right}),
        await kyb.broker.asks("POST", url, key="", json=payload),
        await kyb.broker.asks("POST", url.replace("hbdev", "nosuch"), key="", json=payload),
    ]
    rows = await database.fetchval("SELECT count(*) FROM vendor_event")
    taken = [await kyb.sends_fml_event(spaced), await kyb.sends_fml_event('{"event":"é"}'.encode())]
    no_event = [
        await kyb.sends_fml_event(body) for body in (b"[]", b"{", b'{"event":"a.b"}', b"\xff")
    ]

    assert {each.status for each in refused} == {401}
    assert rows == 0
    assert [each.status for each in taken] == [204, 400]
    assert {each.status for each in no_event} == {400}


async def test_a_new_secret_leaves_the_one_before_valid_for_a_day(kyb, case, database):
    company, case_id = case
    body = {"clientId": "pk_live_tests", "webhookSecret": "canary-new-one"}
    await kyb.broker.asks("PUT", "/api/apps/hbdev/recipes/kyb", json=body)

    old = await kyb.sends_fml_event(event(company, case_id, 1, status="a"))
    new = await kyb.sends_fml_event(event(company, case_id, 2, status="b"), secret="canary-new-one")
    await database.execute(
        "UPDATE recipe_setting SET settings ="
        " jsonb_set(settings::jsonb, '{webhookSecretChangedAt}', $1::jsonb)::text",
        json.dumps((datetime.now(UTC) - timedelta(hours=25)).isoformat()),
    )
    kyb.broker.parts.recipes.clear_cache()
    retired = await kyb.sends_fml_event(event(company, case_id, 3, status="c"))

    assert [old.status, new.status, retired.status] == [204, 204, 401]


async def test_an_older_event_never_overwrites_a_newer_one(kyb, case):
    company, case_id = case
    events = [
        event(company, case_id, 0, "case.decision.made", decision="Refer"),
        event(company, case_id, 1, status="pending_senior"),
        event(company, case_id, 2, "case.onboarding_progress.changed", stage="in_screening"),
        event(company, case_id, 3, status="returned"),
        event(company, case_id, 4, "case.decision.made", decision="Approve"),
        event(company, case_id, 5, "case.onboarding_progress.changed", stage="decision_made"),
        event(company, case_id, 6, status="Approved!", extra={"unknown": [1]}, eventVersion=2),
        event(company, case_id, 7, "case.something.new", other="x"),
    ]
    for order in range(4):
        shuffled = events * 2
        random.Random(order).shuffle(shuffled)
        for each in shuffled:
            assert (await kyb.sends_fml_event(each)).status == 204
            if order % 2:
                await kyb.run_background_work()
        await kyb.run_background_work()

        assert kyb.shows(company) == {
            "fml_case_id": case_id,
            "fml_case_status": "Approved!",
            "fml_stage": "decision_made",
            "fml_decision": "Approve",
            "fml_last_event_at": kyb.shows(company)["fml_last_event_at"],
        }
        assert "03:07" in kyb.shows(company)["fml_last_event_at"]
        await kyb.broker.parts.database.execute("DELETE FROM vendor_event")


async def test_every_event_is_relayed_once_known_or_not(kyb, case, subscribed_receiver):
    company, case_id = case
    known = event(company, case_id, 1, status="approved", changedBy="ann@fml.example")
    unknown = event(company, case_id, 2, "quite.new.kind", novelty=[1])
    stray = event("nobody", "CS-2026-00009", 3, status="approved")

    for each in (known, unknown, stray, known):
        await kyb.sends_fml_event(each)
    await kyb.run_background_work()
    writes = len(kyb.writes())
    for each in (known, unknown, stray):
        await kyb.sends_fml_event(each)
    await kyb.run_background_work()
    await kyb.broker.run_background_work()

    events = {each.json()["type"]: each.json()["data"] for each in subscribed_receiver.got}
    assert len(subscribed_receiver.got) == 3
    assert len(kyb.writes()) == writes
    assert set(events) == {"kyb.case.status.changed", "kyb.quite.new.kind"}
    assert events["kyb.quite.new.kind"]["novelty"] == [1]
    assert events["kyb.quite.new.kind"]["userForeignIdentifier"] == "u1"
    assert events["kyb.quite.new.kind"]["hubId"] == 101


async def test_events_without_a_run_are_parked_and_applied_when_a_run_begins(
    kyb, no_secret_in_the_logs, subscribed_receiver
):
    company = kyb.company()
    fml = kyb.fml.fml
    made = fml.open_case("org", {"crmRecordId": company, "customerEmail": "someone@acme.example"})
    await kyb.sends_fml_event(event(company, made.case_id, 1, status="approved"))
    await kyb.sends_fml_event(
        event("404", "CS-1", 2, status="approved", changedBy="ann@fml.example")
    )
    await kyb.run_background_work()
    path = "/api/recipes/kyb/hbdev/parked"
    before = (await kyb.broker.asks("GET", path)).json()["events"]

    answer = await kyb.kicks_off(company)
    await kyb.run_background_work()
    await kyb.broker.run_background_work()
    after = (await kyb.broker.asks("GET", path)).json()["events"]

    assert {each["crmRecordId"] for each in before} == {company, "404"}
    assert (answer.status, answer.json()["created"]) == (200, False)
    assert kyb.shows(company)["fml_case_status"] == "approved"
    assert [each["crmRecordId"] for each in after] == ["404"]
    events = [each.json()["type"] for each in subscribed_receiver.got]
    assert sorted(events) == ["kyb.case.status.changed"] * 2 + ["recipe.run.finished"]
    assert "ann@fml.example" not in no_secret_in_the_logs.getvalue()
    assert "@acme.example" not in no_secret_in_the_logs.getvalue()


async def test_events_reach_the_company_when_hubspot_recovers(kyb, case):
    company, case_id = case
    fault = kyb.broker.hubspot.faults
    fault.add(Fault(f"/crm/v3/objects/companies/{company}", "status", method="PATCH", status=503))
    await kyb.sends_fml_event(event(company, case_id, 1, status="approved"))
    await kyb.run_background_work()
    meanwhile = kyb.shows(company)["fml_case_status"]
    fault.clear()
    await kyb.broker.parts.database.execute("UPDATE recipe_task SET due_at = now()")
    await kyb.run_background_work()

    assert meanwhile == "in-progress"
    assert kyb.shows(company)["fml_case_status"] == "approved"


async def test_texts_that_postgres_cannot_store_are_cleaned(kyb, case):
    company, case_id = case
    odd = event(company, case_id, 1, status="app\x00roved\ud800", stage=7)
    kept = await kyb.sends_fml_event(odd)
    refused = await kyb.sends_fml_event({**odd, "eventId": "\ud800"})
    await kyb.run_background_work()

    assert (kept.status, refused.status) == (204, 400)
    assert kyb.shows(company)["fml_case_status"] == "approved?"
    assert kyb.shows(company)["fml_stage"] == "7"


async def test_an_older_update_that_arrives_last_is_corrected(kyb, case):
    """Two updates of one Company under way at once, and the older arrives last."""
    company, case_id = case
    path = f"/crm/v3/objects/companies/{company}"
    late = Fault(path, "delay", method="PATCH", seconds=0.6, times=1)
    kyb.broker.hubspot.faults.add(late)
    await kyb.sends_fml_event(event(company, case_id, 1, status="pending_senior"))
    slow = asyncio.create_task(kyb.run_background_work())
    await until(lambda: late.hits)
    await kyb.sends_fml_event(event(company, case_id, 2, status="approved"))

    await kyb.run_background_work()
    meanwhile = kyb.shows(company)["fml_case_status"]
    await slow

    assert meanwhile == "approved"
    assert kyb.shows(company)["fml_case_status"] == "approved"
    assert len(kyb.writes()) == 4


async def test_an_event_is_not_acknowledged_before_it_is_stored(kyb, case, database):
    """W9: a 2xx says stored; what cannot be stored in time is refused."""
    company, case_id = case
    async with database.transaction():
        await database.execute("LOCK TABLE vendor_event IN ACCESS EXCLUSIVE MODE")
        refused = await kyb.sends_fml_event(event(company, case_id, status="approved"))
    taken = await kyb.sends_fml_event(event(company, case_id, status="approved"))
    await kyb.run_background_work()

    assert (refused.status, refused.code) == (503, "busy")
    assert taken.status == 204
    assert kyb.shows(company)["fml_case_status"] == "approved"
