"""A HubSpot contact and a Salesforce lead are kept equal, both ways, without loops."""

from tests.fixtures.leads import ANN, BEA, EXTERNAL, START, USER


async def test_a_contact_becomes_one_lead_and_changes_go_both_ways(leads):
    contact = leads.contact(**ANN)

    dry = await leads.starts(contactId=contact, dryRun=True)
    nothing = leads.leads()
    first = await leads.starts(contactId=contact)
    calls = len(leads.lead_writes())
    again = await leads.starts(contactId=contact)
    echo = len(leads.lead_writes())
    (lead,) = leads.leads()
    leads.edit_contact(contact, jobtitle="Chief", phone="+1 555 0101")
    forth = await leads.starts(contactId=contact)
    leads.edit_lead(lead, LastName="Leigh")
    back = await leads.starts(leadId=lead)

    assert (dry.status, dry.json()["operation"], nothing) == (200, "create", {}), dry.body
    assert (first.status, first.json()["operation"]) == (201, "create"), first.body
    assert (again.json()["operation"], calls, echo) == ("none", 1, 1), again.body
    assert leads.leads()[lead][EXTERNAL] == f"101-{contact}"
    assert forth.json()["operation"] == "update"
    assert {each["salesforce"] for each in forth.json()["changed"]} == {"Title", "Phone"}
    assert back.json()["operation"] == "from-salesforce", back.body
    assert back.json()["changed"] == [
        {
            "hubspot": "lastname",
            "salesforce": "LastName",
            "side": "hubspot",
            "before": "Lee",
            "after": "Leigh",
            "overwritten": False,
        }
    ]
    shown = leads.contacts()[contact]
    assert (shown["lastname"], leads.leads()[lead]["Title"]) == ("Leigh", "Chief")
    assert shown["sf_lead_key"] == f"{leads.org.id}-{lead}"


async def test_a_poll_brings_new_leads_and_changes_and_leaves_what_was_before_and_its_own_writes(
    leads,
):
    """3.11 16, 3.9: the first connection floods nothing; an echo costs a read and no run."""
    leads.orgs.world.jump(-7200)
    leads.lead(**BEA)
    leads.orgs.world.jump(7200)
    await leads.polls()
    before = leads.contacts()
    leads.orgs.world.jump(1)
    new = leads.lead(**{**BEA, "Email": "Bea2@Y.example"})
    await leads.polls()
    await leads.polls()
    (contact,) = leads.contacts()
    once = len(await leads.runs())
    leads.edit_contact(contact, firstname="Beate")
    await leads.starts(contactId=contact)
    runs = len(await leads.runs())
    await leads.polls()
    echo = len(await leads.runs())
    leads.edit_lead(new, Phone="+1 555 0199")
    await leads.polls()

    assert (before, once) == ({}, 1)
    assert runs == echo == 2
    assert leads.contacts()[contact]["email"] == "bea2@y.example"
    assert leads.contacts()[contact]["phone"] == "+1 555 0199"
    assert leads.leads()[new]["FirstName"] == "Beate"
    assert leads.leads()[new][EXTERNAL] == f"101-{contact}"


async def test_a_conflict_goes_by_the_fields_rule_and_what_is_overwritten_is_told(leads):
    fields = [
        {"hubspot": "lastname", "salesforce": "LastName", "wins": "salesforce"},
        {"hubspot": "company", "salesforce": "Company", "wins": "hubspot"},
        {"hubspot": "email", "salesforce": "Email", "wins": "newest"},
    ]
    await leads.puts(fields=fields)
    contact = leads.contact(**ANN)
    await leads.starts(contactId=contact)
    (lead,) = leads.leads()
    leads.edit_contact(contact, lastname="H", company="H", email="h@x.example")
    leads.orgs.world.jump(60)
    leads.edit_lead(lead, LastName="S", Company="S", Email="s@x.example")
    answer = await leads.starts(contactId=contact)

    shown_by = {each["hubspot"]: each for each in answer.json()["changed"]}
    assert {name: (each["side"], each["before"]) for name, each in shown_by.items()} == {
        "lastname": ("hubspot", "H"),
        "company": ("salesforce", "S"),
        "email": ("hubspot", "h@x.example"),
    }
    assert all(each["overwritten"] for each in shown_by.values())
    shown, record = leads.contacts()[contact], leads.leads()[lead]
    assert (shown["lastname"], shown["company"], shown["email"]) == ("S", "H", "s@x.example")
    assert (record["LastName"], record["Company"]) == ("S", "H")


async def test_a_pair_that_is_written_too_often_is_stopped_until_a_person_lets_it_go_on(leads):
    """3.11 1."""
    await leads.puts(maxWritesPerHour=2)
    contact = leads.contact(**ANN)
    for name in ("A", "B", "C"):
        leads.edit_contact(contact, firstname=name)
        last = await leads.starts(contactId=contact)
    (lead,) = leads.leads()
    stuck = leads.leads()[lead]["FirstName"]
    leads.edit_lead(lead, Title="Boss")
    await leads.polls()
    run = last.json()["runId"]
    await leads.broker.asks("POST", f"/api/recipes/runs/{run}/retry")
    await leads.works()

    assert (last.status, stuck) == (422, "B"), last.body
    assert "loop" in last.json()["detail"]
    assert [
        each["result"].get("skipped") for each in await leads.runs() if each["state"] == "done"
    ][:1] == ["stopped"]
    assert leads.leads()[lead]["FirstName"] == "C"
    assert leads.contacts()[contact]["jobtitle"] == "Boss"


async def test_what_lacks_data_is_told_and_a_setting_that_cannot_work_is_refused(leads):
    bare = leads.contact(email="x@x.example")
    refused = await leads.starts(contactId=bare)
    twice = await leads.puts(
        fields=[{"hubspot": "email", "salesforce": "Email"}] * 2,
    )
    none = await leads.starts()
    check = await leads.broker.asks("POST", f"{START}/check", json=USER)

    assert refused.status == 422, refused.body
    assert {each["field"] for each in refused.json()["errors"]} == {"LastName", "Company"}
    assert leads.leads() == {}
    assert (twice.status, none.status) == (400, 400)
    assert check.json()["findings"] == [], check.body
