"""Enrichment in the console: settings that offer the account's properties, and runs."""

import html
import re

from tests.fixtures.enrichment import ADA, SETTINGS
from tests.flows.console.test_console import sees, signs_in

MARKUP = "<img src=x onerror=alert(1)>"
ROWS = {"property": ["jobtitle", "city", ""], "source": ["job_title", "city", "bio"]}


async def test_the_settings_offer_what_the_account_has_and_keep_the_key(enrichment):
    broker = enrichment.broker
    portal = broker.hubspot.portals[101]
    portal.definitions(portal.type("contacts"))["jobtitle"]["label"] = MARKUP
    await enrichment.puts("hunter", health={"minSuccessRate": 0.5})
    cookie = await signs_in(broker)
    page = (await sees(broker, "/enrichment/settings?app=hbdev", cookie)).body.decode()
    form = {
        "app": "hbdev", "user": "u1", "vendor": "hunter", "apiKey": "", "minConfidence": "0.7",
        "dailyBudget": "20", "skipFreeMail": "on", "creation": "on", "trigger.property": "",
        "trigger.value": "", **ROWS, "policy": ["overwrite", "fill", "fill"],
    }  # fmt: skip
    saved = await sees(broker, "/enrichment/settings", cookie, "POST", data=pairs(form))
    stored = (await broker.asks("GET", SETTINGS)).json()
    wrong = await sees(
        broker,
        "/enrichment/settings",
        cookie,
        "POST",
        data=pairs(form | {"property": ["email"], "dailyBudget": "none"}),
    )
    contact = enrichment.contact(email=ADA, jobtitle="Typed")
    answer = await enrichment.starts(contact)

    assert MARKUP not in page
    assert html.escape(MARKUP) in page
    assert '<option value="jobtitle">' in page
    assert '<option value="createdate">' not in page  # HubSpot computes it
    assert saved.status == 303, saved.body
    assert stored["fields"] == {
        "jobtitle": {"from": "job_title", "policy": "overwrite"},
        "city": {"from": "city", "policy": "fill"},
    }
    assert (stored["minConfidence"], stored["dailyBudget"]) == (0.7, 20)
    assert stored["trigger"]["creation"] is True
    assert stored["health"]["minSuccessRate"] == 0.5  # the form has no field for it
    assert (wrong.status, "dailyBudget" in wrong.body.decode()) == (400, True)
    assert answer.json()["outcome"] == "found", answer.body  # with the key that was stored
    assert "canary" not in page


async def test_a_contact_is_enriched_from_the_console_and_its_run_is_shown(enrichment):
    broker = enrichment.broker
    await enrichment.puts("hunter", fields={"jobtitle": {"from": "job_title"}})
    contact, cookie = enrichment.contact(email=ADA), await signs_in(broker)
    body = {"app": "hbdev", "userForeignIdentifier": "u1", "contactId": contact, "email": ""}

    started = await sees(broker, "/enrichment", cookie, "POST", data=body)
    await broker.parts.recipes.runs.join()
    run = started.headers["Location"].partition("/console")[2]
    shown = (await sees(broker, run, cookie)).body.decode()
    listed = (await sees(broker, "/enrichment?app=hbdev", cookie)).body.decode()
    unknown = enrichment.contact(email="nobody@x.example")
    await sees(broker, "/enrichment", cookie, "POST", data=body | {"contactId": unknown})
    shared = await enrichment.starts(enrichment.contact(email="info@acme.example"))
    await broker.parts.recipes.runs.join()
    others = (await sees(broker, "/enrichment?app=hbdev", cookie)).body.decode()
    known = body | {"dryRun": "yes"}
    dry = (await sees(broker, "/enrichment", cookie, "POST", data=known)).body.decode()
    both = await sees(broker, "/enrichment", cookie, "POST", data=body | {"email": ADA})
    trigger = {"creation": True, "emailChange": False}
    await enrichment.puts("hunter", trigger=trigger)
    triggered = (await sees(broker, "/enrichment?app=hbdev", cookie)).body.decode()

    assert "<dt>The vendor was asked</dt><dd><bdi>no</bdi>" in dry
    assert f"Contact {contact}" in shown
    assert re.search(r"Ask the vendor.*done|done.*Ask the vendor", shown, re.DOTALL)
    assert "<code>jobtitle</code>" in shown
    assert "1 property written" in listed
    assert '<span class="state good">done</span>' in listed
    assert f"<bdi>{ADA}</bdi></a><br><small>Contact {contact}<" in listed
    assert '<span class="state ">not found</span>' in others
    assert '<span class="state ">skipped</span>' in others
    assert "the address is not a person&#39;s, such as info@" in others
    assert "email" not in shared.json()
    assert "nothing that should start it is chosen" in listed
    assert "Starts by itself when a contact is created." in triggered
    assert (both.status, "not both" in both.body.decode()) == (400, True)


def pairs(form):
    return [
        (name, each)
        for name, value in form.items()
        for each in (value if isinstance(value, list) else [value])
    ]
