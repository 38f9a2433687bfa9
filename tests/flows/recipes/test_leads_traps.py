"""What trips people up between HubSpot and Salesforce, row by row of what is known of it."""

import asyncio

import pytest

from broker.sandbox.core.faults import Fault
from broker.sandbox.salesforce.org import ValidationRule
from broker.sandbox.salesforce.records import lifecycle
from tests.fixtures.leads import ANN, BEA, EXTERNAL, START, USER, external_id_field

STAGES = [
    {"hubspot": "lead", "salesforce": "Open - Not Contacted"},
    {"hubspot": "marketingqualifiedlead", "salesforce": "Open - Not Contacted"},
    {"hubspot": "salesqualifiedlead", "salesforce": "Working - Contacted"},
]


async def pair(leads):
    """A contact with its lead: their ids."""
    contact = leads.contact(**ANN)
    made = await leads.starts(contactId=contact)
    assert made.status == 201, made.body
    return contact, made.json()["leadId"]


async def findings(leads):
    check = await leads.broker.asks("POST", f"{START}/check", json=USER)
    return {each["about"]: each["message"] for each in check.json()["findings"]}


async def test_a_converted_lead_is_left_alone_or_its_contact_is_followed(leads):
    """3.11 5, CANNOT_UPDATE_CONVERTED_LEAD."""
    contact, lead = await pair(leads)
    lifecycle.convert(leads.org, leads.org.tables["Lead"][lead], leads.org.default_lead_owner)
    await leads.polls()
    runs = len(await leads.runs())
    leads.edit_contact(contact, phone="+1 555 0102")
    stopped = await leads.starts(contactId=contact)
    await leads.puts(onConverted="follow")
    leads.edit_contact(contact, phone="+1 555 0103")
    followed = await leads.starts(contactId=contact)
    (converted,) = leads.org.tables["Contact"].values()

    assert runs == 1
    assert stopped.json()["skipped"] == "converted", stopped.body
    assert followed.json()["operation"] == "update", followed.body
    assert converted["Phone"] == "+1 555 0103"


async def test_a_lead_that_was_merged_is_followed_to_the_one_that_is_left(leads):
    """3.11 11."""
    contact, lead = await pair(leads)
    winner = leads.lead(**{**BEA, "Email": None})
    table = leads.org.tables["Lead"]
    lifecycle.merge(leads.org, "Lead", table[winner], table[lead], leads.org.default_lead_owner)
    leads.edit_contact(contact, jobtitle="Chief")
    after = await leads.starts(contactId=contact)

    assert after.json()["leadId"] == winner, after.body
    assert table[winner][EXTERNAL] == f"101-{contact}"
    assert table[winner]["Title"] == "Chief"


async def test_a_deleted_lead_ends_the_pair_or_is_made_again_as_the_settings_say(leads):
    """NOT_FOUND, ENTITY_IS_DELETED."""
    contact, lead = await pair(leads)
    leads.delete_lead(lead)
    await leads.polls()
    leads.edit_contact(contact, jobtitle="A")
    await leads.sends_change(contact, "jobtitle", "A")
    unlinked = (await leads.runs())[0]["result"]
    none = leads.leads()
    again = await leads.starts(contactId=contact)
    await leads.puts(onDeleted="recreate")
    leads.delete_lead(again.json()["leadId"])
    leads.edit_contact(contact, jobtitle="B")
    await leads.sends_change(contact, "jobtitle", "B")
    (recreated,) = leads.leads().values()

    assert (unlinked["skipped"], none) == ("unlinked", {})
    assert again.json()["operation"] == "create", again.body
    assert recreated["Title"] == "B"


async def test_a_merged_contact_gives_its_lead_to_the_one_that_is_left(leads):
    """3.11 11, at HubSpot."""
    contact, lead = await pair(leads)
    other = leads.contact(email="other@x.example", lastname="Lee", company="Acme")
    leads.merge_contacts(other, contact)
    leads.edit_contact(other, jobtitle="Chief")
    after = await leads.starts(contactId=contact)

    assert (after.json()["contactId"], after.json()["leadId"]) == (other, lead), after.body
    assert leads.leads()[lead][EXTERNAL] == f"101-{other}"
    assert leads.leads()[lead]["Title"] == "Chief"


async def test_a_deleted_contact_leaves_the_lead_alone_and_what_was_stored_of_it_goes(leads):
    contact, lead = await pair(leads)
    leads.delete_contact(contact)
    await leads.sends({"subscriptionType": "contact.deletion", "objectId": int(contact)})
    stored = await leads.database.fetchval("SELECT seen FROM lead_pair")
    leads.edit_lead(lead, Title="Boss")
    await leads.polls()

    assert stored is None
    assert (await leads.runs())[0]["result"]["skipped"] == "deleted-contact"
    assert leads.contacts() == {}


@pytest.mark.parametrize("policy", ["adopt", "save", "stop"])
async def test_a_lead_with_the_contacts_address_is_met_as_the_settings_say(leads, policy):
    """3.11 6, 7: DUPLICATES_DETECTED. Nothing loops."""
    await leads.puts(onDuplicate=policy)
    other = leads.lead(**{**BEA, "Email": "ANN@x.example"})
    leads.org.levers.duplicate_rule = "alert"
    contact = leads.contact(**ANN)
    answer = await leads.starts(contactId=contact)
    ids = set(leads.leads())

    if policy == "stop":
        assert (answer.status, ids) == (422, {other}), answer.body
        assert "duplicate" in answer.json()["detail"]
    elif policy == "adopt":
        assert (answer.json()["leadId"], ids) == (other, {other}), answer.body
        assert leads.leads()[other][EXTERNAL] == f"101-{contact}"
    else:
        assert answer.json()["leadId"] != other, answer.body
        assert len(ids) == 2
    assert len(leads.lead_writes()) == 1


async def test_an_odd_address_is_found_by_search_and_two_leads_of_it_wait_for_a_person(leads):
    """3.6: no address stands in the text of a query, and one that a search only resembles is left
    alone.
    """
    address = "o'neil+x-y@x.example"
    leads.lead(**{**BEA, "Email": "o.neil.x.y@x.example"})
    one = leads.lead(**{**BEA, "Email": "O'Neil+x-y@X.example"})
    contact = leads.contact(**{**ANN, "email": address})
    adopted = await leads.starts(contactId=contact)
    leads.org.levers.search_lag = 600.0
    fresh = leads.lead(**{**BEA, "Email": "new@x.example"})
    new = await leads.starts(contactId=leads.contact(**{**ANN, "email": "new@x.example"}))
    leads.org.levers.search_lag = 0.0
    for _ in range(2):
        leads.lead(**{**BEA, "Email": "two@x.example"})
    several = await leads.starts(contactId=leads.contact(**{**ANN, "email": "two@x.example"}))

    assert adopted.json()["leadId"] == one, adopted.body
    assert new.json()["leadId"] == fresh, new.body  # a search's index lags
    assert several.status == 422
    assert "Several leads" in several.json()["detail"]


async def test_owners_are_mapped_and_one_who_is_inactive_gives_way_to_the_default(leads):
    """3.11 8, INACTIVE_OWNER_OR_USER."""
    gone = leads.org.add_user("gone@acme.example", IsActive=False)["Id"]
    bob = leads.org.add_user("bob@acme.example")["Id"]
    leads.org.levers.assignment_rule = leads.org.default_lead_owner
    await leads.puts(owners={"11": gone, "12": bob}, defaultOwner=bob)
    checked = await findings(leads)
    contact = leads.contact(**ANN, hubspot_owner_id="12")
    made = await leads.starts(contactId=contact)
    lead = leads.leads()[made.json()["leadId"]]
    owner = lead["OwnerId"]
    leads.edit_contact(contact, hubspot_owner_id="11")
    after = await leads.starts(contactId=contact)

    assert "inactive" in checked["owners"]
    assert (owner, lead["OwnerId"]) == (bob, bob)
    assert "Salesforce refused the owner" in after.json()["notes"][0], after.body


async def test_stages_go_forward_only_and_one_that_means_the_status_stays(leads):
    """3.10, 9.4."""
    await leads.puts(lifecycle={"stages": STAGES})
    contact = leads.contact(**ANN, lifecyclestage="marketingqualifiedlead")
    made = await leads.starts(contactId=contact)
    lead = made.json()["leadId"]
    leads.edit_lead(lead, Status="Working - Contacted")
    await leads.polls()
    forward = leads.contacts()[contact]["lifecyclestage"]
    leads.edit_lead(lead, Status="Open - Not Contacted")
    await leads.polls()
    after = leads.contacts()[contact]["lifecyclestage"]
    result = (await leads.runs())[0]["result"]

    assert leads.contacts()[contact]["lifecyclestage"] == "salesqualifiedlead"
    assert (forward, after) == ("salesqualifiedlead", "salesqualifiedlead")
    assert "earlier stage" in result["notes"][0]


async def test_what_an_admin_forbids_waits_with_the_admins_words(leads):
    """FIELD_CUSTOM_VALIDATION_EXCEPTION, STRING_TOO_LONG."""
    leads.org.rules.append(ValidationRule("Lead", "No Acme, please.", {"Company": "Acme"}))
    contact = leads.contact(**ANN)
    forbidden = await leads.starts(contactId=contact)
    leads.edit_contact(contact, company="Globex", firstname="x" * 41)
    long = await leads.starts(contactId=contact)
    leads.edit_contact(contact, firstname="Ann")
    good = await leads.starts(contactId=contact)

    assert [each.status for each in (forbidden, long, good)] == [422, 422, 201], good.body
    assert "No Acme, please." in forbidden.json()["detail"]
    assert "too large" in long.json()["detail"]
    assert len(leads.leads()) == 1


async def test_a_locked_row_waits_and_a_lost_answer_writes_once(leads):
    """UNABLE_TO_LOCK_ROW, 500 after the write."""
    contact, lead = await pair(leads)
    leads.org.levers.refuse_writes = {
        "status": 400,
        "errorCode": "UNABLE_TO_LOCK_ROW",
        "message": "unable to obtain exclusive access to this record",
        "times": 1,
    }
    leads.edit_contact(contact, jobtitle="A")
    start = asyncio.create_task(leads.starts(contactId=contact))
    locked = await leads.ends_after_a_pause(start)
    leads.orgs.world.faults.add(Fault("/services/data/*/sobjects/Lead/*", "lose-answer", times=1))
    other = leads.contact(**{**ANN, "email": "two@x.example"})
    lost = await leads.starts(contactId=other)
    await leads.wakes()

    assert locked.json()["operation"] == "update", locked.body
    assert leads.leads()[lead]["Title"] == "A"
    assert len(leads.leads()) == 2, lost.body
    assert {each["state"] for each in await leads.runs()} == {"done"}


async def test_fields_that_are_hidden_and_the_native_connector_are_found_before_the_first_run(
    leads,
):
    """3.11 9, 15: field-level security; INVALID_FIELD is never met in a run."""
    leads.org.hidden |= {("Lead", "Title"), ("Lead", EXTERNAL)}
    leads.org.read_only.add(("Lead", "Phone"))
    portal = leads.broker.hubspot.portals[101]
    definition = {
        "name": "salesforceleadid",
        "label": "Salesforce lead id",
        "type": "string",
        "fieldType": "text",
        "groupName": "contactinformation",
    }
    made = await leads.broker.asks(
        "POST", "/proxy/hbdev/u1/crm/v3/properties/contacts", json=definition
    )
    await leads.puts(
        lifecycle={"stages": [{"hubspot": "nothing", "salesforce": "Open"}]}, defaultOwner="005x"
    )
    found = await findings(leads)
    leads.org.hidden.discard(("Lead", EXTERNAL))
    await findings(leads)  # describes the object again
    contact = leads.contact(**{**ANN, "jobtitle": "Chief"})
    refused = await leads.starts(contactId=contact)
    await leads.puts(besideConnector=True)
    answer = await leads.starts(contactId=contact)

    assert refused.status == 422, refused.body
    assert "own Salesforce connector" in refused.json()["detail"]
    assert made.status == 201, (made.body, portal)
    assert {
        "externalIdField", "fields.Title", "fields.Phone", "connector", "lifecycle", "owners",
    } <= set(found)  # fmt: skip
    assert answer.status == 201, answer.body
    (lead,) = leads.leads().values()
    assert (lead["Title"], lead["Phone"]) == (None, None)


async def test_two_portals_with_the_same_contact_ids_have_leads_of_their_own_in_one_org(leads):
    broker = leads.broker
    await broker.connects("u2", portal=102)
    await leads.orgs.connects("u2")
    setup = await broker.asks("POST", f"{START}/setup", json={"userForeignIdentifier": "u2"})
    assert setup.status == 200, setup.body
    first = leads.contact(**ANN)
    second = leads.contact(portal=102, **{**ANN, "email": "ann2@x.example"})
    one = await leads.starts(contactId=first)
    two = await leads.starts(contactId=second, userForeignIdentifier="u2")
    await leads.polls()
    foreign = await leads.starts(leadId=one.json()["leadId"], userForeignIdentifier="u2")

    keys = {each[EXTERNAL] for each in leads.leads().values()}
    assert keys == {f"101-{first}", f"102-{second}"}
    assert two.json()["leadId"] != one.json()["leadId"], two.body
    assert foreign.json()["skipped"] == "other-account", foreign.body
    assert (len(leads.contacts()), len(leads.contacts(102))) == (1, 1)


async def test_hubspots_webhook_brings_a_change_over_and_its_echo_costs_one_read(leads):
    """3.9: an echo writes nothing, and asks Salesforce nothing."""
    contact, lead = await pair(leads)
    leads.edit_contact(contact, jobtitle="Chief")
    await leads.sends_change(contact, "jobtitle", "Chief")
    title = leads.leads()[lead]["Title"]
    leads.edit_lead(lead, Title="Boss")
    await leads.polls()
    writes, seen = len(leads.lead_writes()), len(leads.orgs.world.seen)
    await leads.sends_change(contact, "jobtitle", "Boss")
    echo = (await leads.runs())[0]["result"]

    assert (title, leads.contacts()[contact]["jobtitle"]) == ("Chief", "Boss")
    assert echo["skipped"] == "unchanged"
    assert (len(leads.lead_writes()), len(leads.orgs.world.seen)) == (writes, seen)


@pytest.mark.parametrize(
    ("direction", "expected"),
    [("both", (1, 1)), ("to-salesforce", (1, 0)), ("to-hubspot", (0, 1))],
)
async def test_an_edit_is_written_once_to_the_other_side_and_never_where_settings_forbid_it(
    leads, direction, expected
):
    """3.11 1: writes per edit at each side, with every echo reported to the recipe."""
    contact, lead = await pair(leads)
    await leads.puts(direction=direction)
    await leads.polls()
    counts = []
    for _ in range(2):
        before = leads.writes()
        leads.edit_contact(contact, jobtitle=f"H{len(counts)}")
        await leads.sends_change(contact, "jobtitle", f"H{len(counts)}")
        for _ in range(2):
            await leads.polls()  # the echo
        between = leads.writes()
        leads.edit_lead(lead, Phone=f"+1 555 018{len(counts)}")
        await leads.polls()
        phone = leads.contacts()[contact]["phone"]
        await leads.sends_change(contact, "phone", phone)  # the echo
        await leads.polls()
        counts.append((between - before, leads.writes() - between))

    assert counts == [expected, expected]
    assert (leads.leads()[lead]["Title"] == "H1") is (direction != "to-hubspot")
    assert (phone == "+1 555 0181") is (direction != "to-salesforce")


async def test_a_backfill_brings_over_old_leads_and_one_that_is_refused_holds_up_no_other(leads):
    """3.11 16."""
    for number in range(3):
        leads.lead(**{**BEA, "Email": f"b{number}@y.example"})
    twin = leads.lead(**{**BEA, "Email": None, "LastName": "None"})
    answer = await leads.starts(since="2026-01-01T00:00:00Z")
    again = await leads.starts(since="2026-01-01T00:00:01Z")

    assert answer.json()["written"] == 4, answer.body
    assert again.json()["written"] == 0
    assert len(leads.contacts()) == 4
    assert leads.leads()[twin][EXTERNAL]


async def test_an_org_without_the_field_is_told_so_before_anything_is_written(leads):
    """A field made by API is hidden from everyone until access is granted."""
    leads.org.hidden.add(("Lead", external_id_field().name))
    answer = await leads.starts(contactId=leads.contact(**ANN))

    assert answer.status == 422
    assert "does not see Lead.HubSpot_Contact_ID__c" in answer.json()["detail"]
    assert leads.leads() == {}


async def test_a_comparison_once_a_day_finds_what_nothing_reported_and_stands_in_the_health(leads):
    contact, lead = await pair(leads)
    await leads.polls()
    leads.edit_contact(contact, jobtitle="Chief")  # no webhook reports it
    await leads.polls()
    before = leads.leads()[lead]["Title"]
    await leads.next_day()
    found = await leads.broker.asks("GET", "/api/apps/hbdev/recipes/leads/health")
    cursors = await leads.database.fetchval("SELECT cursor FROM recipe_poll")
    await leads.next_day()
    health = await leads.broker.asks("GET", "/api/apps/hbdev/recipes/leads/health")

    people = leads.broker.parts.settings.hubspot_app_url
    assert found.json()["consistency"]["different"] == [
        {
            "userForeignIdentifier": "u1",
            "recordId": contact,
            "recordUrl": f"{people}/contacts/101/record/0-1/{contact}",
            "partnerRecordId": lead,
            "partnerRecordUrl": f"{leads.org.instance_url}/{lead}",
            "fields": ["jobtitle"],
            "missing": [],
        }
    ], found.body
    assert "Chief" not in cursors
    assert health.json()["consistency"]["different"] == []
    assert (before, leads.leads()[lead]["Title"]) == (None, "Chief")
    shown = health.json()["consistency"]
    assert (shown["compared"], shown["equal"]) == (1, 1), health.body
