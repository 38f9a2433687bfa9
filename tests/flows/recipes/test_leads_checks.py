"""The mapping of leads is held against both sides: when it is asked for, and once a day by itself."""

import json

from broker.sandbox.hubspot.portal import FIRST_OWNER_ID
from tests.fixtures.broker_client import CLIENT_ID
from tests.fixtures.leads import ANN, SCOPES, SETTINGS, START, USER

OWNERS = "crm.objects.owners.read"


async def checks(leads):
    answer = await leads.broker.asks("POST", f"{START}/check", json=USER)
    return [each["message"] for each in answer.json()["findings"]]


async def reported(leads):
    rows = await leads.database.fetch(
        "SELECT payload FROM event WHERE type LIKE 'recipe.check.%' ORDER BY id"
    )
    return [json.loads(row["payload"]) for row in rows]


async def test_owners_of_hubspot_are_checked_where_the_app_may_read_them(leads):
    bob = leads.org.add_user("bob@acme.example")["Id"]
    await leads.puts(owners={str(FIRST_OWNER_ID): bob, "99": bob})
    hidden = await checks(leads)
    changed = await leads.broker.asks(
        "PATCH", "/api/apps/hbdev", json={"scopes": [*SCOPES, OWNERS]}
    )
    assert changed.status == 200, changed.body
    leads.broker.hubspot.apps[CLIENT_ID].scopes.append(OWNERS)
    await leads.broker.connects("u1")

    assert hidden == ["HubSpot does not show its owners to the app: they are not checked."]
    assert await checks(leads) == ["HubSpot has no owner 99, or it is archived."]


async def test_a_mapping_that_no_longer_fits_is_told_once_and_stops_nothing_that_works(leads):
    """3.10: checked against both sides nightly."""
    await leads.polls()
    leads.org.hidden.add(("Lead", "Title"))
    quiet = await reported(leads)
    await leads.next_day()
    await leads.next_day()
    failed = await reported(leads)
    health = await leads.broker.asks("GET", f"{SETTINGS}/health")
    made = await leads.starts(contactId=leads.contact(**ANN))
    hidden = ("Lead", "HubSpot_Contact_ID__c")
    leads.org.hidden.add(hidden)
    await leads.next_day()
    worse = await reported(leads)
    leads.org.hidden.clear()
    await leads.next_day()
    await leads.next_day()
    last = await reported(leads)

    assert quiet == []
    (event,) = failed
    assert event["type"] == "recipe.check.failed"
    assert event["data"]["userForeignIdentifier"] == "u1"
    (finding,) = event["data"]["findings"]
    assert finding["message"] == (
        "Lead has no field Title, or field-level security hides it: it is skipped."
    )
    assert health.json()["settingsCheck"]["findings"] == [
        {"userForeignIdentifier": "u1", **finding}
    ], health.body
    assert made.json().get("operation") == "create", made.body
    # What keeps all leads from being looked at is told too.
    assert [each["about"] for each in worse[-1]["data"]["findings"]] == [
        "externalIdField",
        "fields.Title",
    ]
    assert [each["type"] for each in last[2:]] == ["recipe.check.passed"]
