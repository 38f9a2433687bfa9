"""What starts the enrichment of a contact by itself, and that it never starts itself."""

from tests.fixtures.broker_client import CLIENT_ID
from tests.fixtures.enrichment import ADA
from tests.until import until

CREATION = {"subscriptionType": "contact.creation"}


def changed(contact, name, value):
    return {
        "subscriptionType": "contact.propertyChange",
        "objectId": int(contact),
        "propertyName": name,
        "propertyValue": value,
    }


async def test_a_new_contact_an_address_and_a_property_start_it_where_the_settings_say(enrichment):
    contact = enrichment.contact(email=ADA)
    events = (
        {**CREATION, "objectId": int(contact)},
        changed(contact, "email", ADA),
        changed(contact, "enrich_now", "true"),
        changed(contact, "jobtitle", "Clerk"),
    )
    counts = []
    for trigger in (
        None,
        {"creation": True, "emailChange": False},
        {"creation": False},
        {"creation": False, "emailChange": False, "property": "enrich_now", "value": "true"},
    ):
        await enrichment.puts(trigger=trigger)
        before = len(await enrichment.runs())
        fresh = [{**each, "occurredAt": 1_790_000_100_000 + len(counts)} for each in events]
        await enrichment.sends(*fresh)
        await enrichment.sends(*fresh)
        counts.append(len(await enrichment.runs()) - before)

    assert counts == [0, 1, 1, 1]
    assert len(enrichment.lookups()) == 1
    assert enrichment.shows(contact)["jobtitle"] == "Head of Computing"


async def test_its_own_write_starts_nothing(enrichment):
    """8.4 8: HubSpot reports every property that the recipe writes."""
    broker = enrichment.broker
    names = ["email", "jobtitle", "company", "city", "enriched_at", "enriched_by"]
    subscriptions = [
        {"eventType": "contact.propertyChange", "propertyName": name, "active": True}
        for name in names
    ] + [{"eventType": "contact.creation", "active": True}]
    url = f"{broker.url}/hubspot/hbdev-{broker.workspace}/webhooks"
    path = f"{broker.hubspot.url}/_sandbox/apps/{CLIENT_ID}/webhooks"
    put = await broker.asks(
        "POST", path, key="", json={"targetUrl": url, "subscriptions": subscriptions}
    )
    assert put.status < 300, put.body
    await enrichment.puts(trigger={})
    contact = enrichment.contact(email=ADA)
    reported = set()

    def heard():
        reported.update(
            event.get("propertyName")
            for each in broker.hubspot.webhooks.deliveries
            for event in each.events
        )
        return reported

    await until(lambda: {None, "email"} <= heard())
    await enrichment.run_background_work()
    first = len(await enrichment.runs())
    await until(lambda: {"jobtitle", "enriched_at"} <= heard())
    await enrichment.run_background_work()

    assert enrichment.shows(contact)["jobtitle"] == "Head of Computing"
    assert len(await enrichment.runs()) == first == 2
    assert len(enrichment.lookups()) == 1
