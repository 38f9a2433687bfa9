"""What Salesforce and HubSpot do to the leads recipe on odd days."""

import asyncio
import json

import pytest

from broker.sandbox.core.faults import Fault
from broker.sandbox.salesforce.records import writes
from broker.sandbox.salesforce.records.rules import Caller
from tests.fixtures.leads import ANN, BEA, EXTERNAL, START, USER
from tests.until import until

LEAD = "/services/data/v66.0/sobjects/Lead"


async def pair(leads, **more):
    """A contact with its lead: their ids."""
    contact = leads.contact(**{**ANN, **more})
    made = await leads.starts(contactId=contact)
    assert made.status == 201, made.body
    return contact, made.json()["leadId"]


async def problem(leads, **body):
    """How a start is refused."""
    answer = await leads.starts(**body)
    assert answer.status in {403, 422}, answer.body
    return answer.json()["detail"]


async def looks_to_the_end(leads):
    """One look, page by page."""
    for _ in range(20):
        await leads.polls()
        cursor = await leads.database.fetchval("SELECT cursor FROM recipe_poll")
        if "id" not in json.loads(cursor):
            return
    raise AssertionError(cursor)


async def test_what_salesforce_refuses_is_said_in_its_words_and_works_once_it_is_mended(leads):
    """3.7: rights, picklists, addresses, storage, failing flows, an org without the API, a text that
    is far too long. 3.11 12: only an org with person accounts takes a person without a company.
    """
    org, contact = leads.org, leads.contact(**ANN)
    twice = await asyncio.gather(*(leads.starts(contactId=contact) for _ in range(2)))
    (lead,) = leads.leads()
    leads.edit_contact(contact, jobtitle="x" * 60_000)
    long = await problem(leads, contactId=contact)
    leads.edit_contact(contact, jobtitle="A")
    refusals = {
        "INSUFFICIENT_ACCESS_OR_READONLY": (403, "insufficient access rights on object id"),
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": (400, "bad value for restricted picklist field"),
        "INVALID_EMAIL_ADDRESS": (400, "Email: invalid email address: x"),
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": (400, "LeadTrigger: execution of BeforeUpdate"),
        "STORAGE_LIMIT_EXCEEDED": (400, "storage limit exceeded"),
    }
    for code, (status, message) in refusals.items():
        planned = {"status": status, "errorCode": code, "message": message, "times": 1}
        org.levers.refuse_writes = planned
        detail = await problem(leads, contactId=contact)
        assert message in detail, detail
        leads.edit_contact(contact, jobtitle=code)  # another version, so another run
    org.levers.api_disabled = True
    disabled = await leads.starts(contactId=contact)
    await leads.polls()
    (poll,) = await leads.database.fetch(
        "SELECT last_error, due_at > now() AS later FROM recipe_poll"
    )
    org.levers.api_disabled = False
    again = await leads.starts(contactId=contact)

    assert disabled.status == 403, disabled.body
    assert "The REST API is not enabled" in disabled.json()["detail"]
    assert (poll["last_error"], poll["later"]) == ("scopes-missing", True)
    assert again.json()["operation"] == "update", again.body
    assert leads.leads()[lead]["Title"] == "STORAGE_LIMIT_EXCEEDED"
    assert {each.status for each in twice} <= {200, 201, 202}, [each.body for each in twice]
    assert "too large" in long
    assert len(long) < 1000

    person = leads.contact(email="p@x.example", lastname="Person")
    refused = await problem(leads, contactId=person)
    org.levers.person_accounts = True
    await leads.broker.asks("POST", f"{START}/check", json=USER)  # describes the object again
    leads.edit_contact(person, firstname="P")
    made = await leads.starts(contactId=person)

    assert "Company" in refused
    assert made.status == 201, made.body
    assert leads.leads()[made.json()["leadId"]]["Company"] is None


async def test_a_lead_made_elsewhere_meanwhile_is_taken_over_and_one_of_two_is_not_guessed(leads):
    """DUPLICATE_VALUE, and 300 for an external id that is not unique."""
    contact = leads.contact(**ANN)
    key = f"101-{contact}"
    other = leads.lead(**{**BEA, "Email": None})
    table = leads.org.tables["Lead"]
    text = f"duplicate value found: {EXTERNAL} duplicates value on record with id: {other[:15]}"
    refusal = {"message": text, "errorCode": "DUPLICATE_VALUE", "fields": []}
    fault = Fault(f"{LEAD}/{EXTERNAL}/*", "status", method="PATCH", status=400, times=1)
    fault.body = json.dumps([refusal])
    leads.orgs.world.faults.add(fault)
    taken = await leads.starts(contactId=contact)

    kind = leads.org.objects["lead"]
    kind.fields[EXTERNAL.lower()].unique = False
    person = Caller(leads.org.default_lead_owner, auto_assign=False, allow_duplicates=True)
    second = leads.contact(**{**ANN, "email": "two@x.example"})
    for name in ("One", "Two"):
        lead = {"LastName": name, "Company": "Acme", EXTERNAL: f"101-{second}"}
        writes.create(leads.org, person, kind, lead)
    several = await problem(leads, contactId=second)
    before = len(table)

    assert taken.json()["leadId"] == other, taken.body
    assert table[other][EXTERNAL] == key
    assert "Several leads have this contact's external id" in several
    assert before == 3


async def test_many_changes_come_in_pages_whatever_their_size_and_a_late_one_is_found(
    leads, monkeypatch
):
    """nextRecordsUrl, equal times of a mass update, and 3.9: a long transaction's older time."""
    monkeypatch.setattr("broker.recipes.leads.changes.PAGE", 4)
    await leads.polls()
    leads.org.levers.page_size = 3
    made = [leads.lead(**{**BEA, "Email": f"b{number}@y.example"}) for number in range(9)]
    await looks_to_the_end(leads)
    paged = {each["email"] for each in leads.contacts().values()}
    leads.orgs.world.jump(600)
    await looks_to_the_end(leads)
    runs = len(await leads.runs())
    leads.org.levers.stamp_late = 100
    leads.edit_lead(made[0], Title="Late")
    leads.org.levers.stamp_late = 0
    await looks_to_the_end(leads)
    titles = {each.get("jobtitle") for each in leads.contacts().values()}

    long = {"hubspot": "message", "salesforce": "Description"}
    await leads.puts(fields=[long])
    await looks_to_the_end(leads)
    monkeypatch.undo()
    await leads.polls()
    target = leads.orgs.world.seen[-1].target

    assert (len(paged), runs) == (9, 9)
    assert "LIMIT+62" in target  # of 32,000 characters each
    assert "Late" in titles


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_an_hour_off_hides_no_change_and_floods_nothing(leads, hours):
    leads.orgs.world.jump(hours * 3600 - 600)
    leads.lead(**{**BEA, "Email": "before@y.example"})
    leads.orgs.world.jump(600)
    await leads.polls()
    none = leads.contacts()
    new = leads.lead(**BEA)
    await leads.polls()
    first = [each["email"] for each in leads.contacts().values()]
    leads.orgs.world.jump(7200)
    await leads.polls()
    leads.edit_lead(new, Title="Boss")
    await leads.polls()

    assert none == {}
    assert first == ["bea@y.example"]
    assert [each.get("jobtitle") for each in leads.contacts().values()] == ["Boss"]


async def test_a_session_that_ends_at_once_is_waited_out_and_a_grant_that_ends_waits_for_a_retry(
    leads,
):
    contact, lead = await pair(leads)
    over = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    ended = Fault(f"{LEAD}/*", "status", method="PATCH", status=401, times=2, body=json.dumps(over))
    leads.orgs.world.faults.add(ended)
    leads.edit_contact(contact, phone="+1 555 0142")
    start = asyncio.create_task(leads.starts(contactId=contact))
    waited = await leads.ends_after_a_pause(start)

    for grant in [each.grant for each in leads.orgs.world.grants.sessions.values()]:
        leads.orgs.world.grants.revoke(grant)
    await leads.orgs.calls("/services/data/v66.0/limits")
    before = await leads.orgs.shows()
    leads.edit_contact(contact, jobtitle="A")
    await leads.sends_change(contact, "jobtitle", "A")
    (failed,) = [each for each in await leads.runs() if each["state"] == "failed"]
    await leads.orgs.connects()
    await leads.broker.asks("POST", f"/api/recipes/runs/{failed['runId']}/retry")
    await leads.works()

    assert waited.json()["operation"] == "update", waited.body
    assert before["status"] != "ACTIVE"
    assert failed["problem"]["code"] == "reauth-required"
    assert leads.leads()[lead]["Title"] == "A"


async def test_a_deletion_that_the_recycle_bin_has_forgotten_ends_the_pair_with_its_next_change(
    leads,
):
    """queryAll shows deleted records for as long as they are in the recycle bin."""
    leads.orgs.world.levers.idle_days = None
    contact, lead = await pair(leads)
    await leads.polls()
    del leads.org.tables["Lead"][lead]
    leads.orgs.world.jump(40 * 86_400)
    await leads.polls()
    leads.edit_contact(contact, jobtitle="A")
    await leads.sends_change(contact, "jobtitle", "A")

    assert (await leads.runs())[0]["result"]["skipped"] == "deleted-lead"
    assert leads.leads() == {}


async def test_a_property_that_was_deleted_empties_nothing_and_a_field_that_was_is_left_out(leads):
    """HubSpot leaves an unknown property out of its answer, as if it were empty."""
    contact, lead = await pair(leads, jobtitle="Chief")
    portal = leads.broker.hubspot.portals[101]
    definitions = portal.type("contacts")
    removed = portal.definitions(definitions).pop("jobtitle")
    record = portal.of(definitions).by_id[contact]
    title = record.properties.pop("jobtitle")
    leads.edit_contact(contact, phone="+1 555 0155")
    without = await leads.starts(contactId=contact)
    kept = leads.leads()[lead]["Title"]
    portal.definitions(definitions)["jobtitle"] = removed
    record.properties["jobtitle"] = title

    leads.org.hidden.add(("Lead", "Phone"))
    leads.edit_contact(contact, firstname="Anna", phone="+1 555 0177")
    meanwhile = await leads.starts(contactId=contact)
    await leads.wakes()

    assert without.json()["operation"] == "update", without.body
    assert "no property jobtitle" in without.json()["notes"][0]
    assert kept == "Chief"
    assert meanwhile.status == 200, meanwhile.body
    shown = leads.leads()[lead]
    assert (shown["FirstName"], shown["Phone"], shown["Title"]) == ("Anna", "+1 555 0155", "Chief")


async def test_a_deleted_contact_is_made_again_once_and_a_stage_goes_back_where_settings_say_so(
    leads,
):
    """`onDeleted: recreate`, with an answer that is lost on the way. 9.4: HubSpot ignores an earlier
    stage unless the stage was emptied first.
    """
    stages = [
        {"hubspot": "lead", "salesforce": "Open - Not Contacted"},
        {"hubspot": "salesqualifiedlead", "salesforce": "Working - Contacted"},
    ]
    await leads.puts(onDeleted="recreate", lifecycle={"stages": stages, "back": True})
    contact, lead = await pair(leads, lifecyclestage="salesqualifiedlead")
    leads.edit_lead(lead, Status="Open - Not Contacted")
    await leads.polls()
    back = leads.contacts()[contact]["lifecyclestage"]
    (stage,) = (await leads.runs())[0]["result"]["changed"]
    leads.delete_contact(contact)
    await leads.sends({"subscriptionType": "contact.deletion", "objectId": int(contact)})
    leads.edit_lead(lead, Title="Boss")
    leads.orgs.world.faults.add(Fault(f"{LEAD}/*", "lose-answer", method="PATCH", times=1))
    await leads.polls()
    await leads.wakes()
    (again,) = leads.contacts()
    leads.edit_contact(again, jobtitle="Chief")
    await leads.sends_change(again, "jobtitle", "Chief")

    assert (back, stage["before"], stage["overwritten"]) == ("lead", "salesqualifiedlead", False)
    assert again != contact
    assert leads.leads()[lead][EXTERNAL] == f"101-{again}"
    assert leads.leads()[lead]["Title"] == "Chief"
    assert len(leads.leads()) == 1


@pytest.mark.parametrize("properties", [{"jobtitle": "A"}, {}])
async def test_what_a_person_writes_into_a_lead_just_made_is_a_change(leads, properties):
    """Before the recipe has read what it made: it remembers what it wrote, not what it finds."""
    contact = leads.contact(**{**ANN, **properties})
    fault = Fault(f"{LEAD}/*", "delay", method="GET", seconds=0.3, times=9)
    leads.orgs.world.faults.add(fault)
    start = asyncio.create_task(leads.starts(contactId=contact))
    await until(leads.leads)
    (lead,) = leads.leads()
    leads.edit_lead(lead, Title="B")
    made = await start
    leads.orgs.world.faults.clear()

    await leads.polls()
    await leads.wakes()

    assert made.json()["leadId"] == lead
    assert leads.contacts()[contact]["jobtitle"] == "B"


async def test_what_a_person_writes_between_the_recipes_reading_and_writing_is_not_lost(leads):
    """The lead is written only if nobody has since; HubSpot's versions show what was replaced."""
    contact, lead = await pair(leads)
    leads.orgs.world.jump(60)
    leads.edit_contact(contact, jobtitle="A")
    fault = Fault(f"{LEAD}/*", "delay", method="PATCH", seconds=0.3, times=1)
    leads.orgs.world.faults.add(fault)
    start = asyncio.create_task(leads.starts(contactId=contact))
    await until(lambda: fault.hits)
    leads.edit_lead(lead, Title="B")
    await leads.ends_after_a_pause(start)
    titles = leads.leads()[lead]["Title"], leads.contacts()[contact]["jobtitle"]

    leads.orgs.world.jump(60)
    leads.edit_lead(lead, Title="C")
    fault = Fault(
        f"/crm/v3/objects/contacts/{contact}", "delay", method="PATCH", seconds=0.3, times=1
    )
    leads.broker.hubspot.faults.add(fault)
    start = asyncio.create_task(leads.starts(leadId=lead))
    await until(lambda: fault.hits)
    leads.edit_contact(contact, jobtitle="D")
    answer = await start

    assert titles == ("B", "B"), titles
    (change,) = answer.json()["changed"]
    assert (change["before"], change["after"], change["overwritten"]) == ("D", "C", True)

    leads.orgs.world.jump(60)
    leads.edit_contact(contact, jobtitle="E")
    leads.edit_lead(lead, Title="F")
    leads.broker.hubspot.faults.clear()
    lost = Fault(f"/crm/v3/objects/contacts/{contact}", "lose-answer", method="PATCH", times=1)
    leads.broker.hubspot.faults.add(lost)
    await leads.sends_change(contact, "jobtitle", "E")
    other = await leads.starts(contactId=contact)  # ends what the first run has begun
    await leads.wakes()
    reported = [
        (each["before"], each["after"], each["overwritten"])
        for run in await leads.runs()
        for each in run["result"]["changed"]
    ]

    assert (lost.hits, other.json()["operation"]) == (1, "none"), other.body
    assert ("E", "F", True) in reported
