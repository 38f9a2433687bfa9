"""Leads in the console: settings that offer both sides' fields, runs field by field."""

import re

from tests.fixtures.leads import ANN
from tests.flows.console.test_console import sees, signs_in

HTML = "<img src=x onerror=alert(1)>"


async def test_the_settings_offer_both_sides_fields_and_store_what_is_chosen(leads):
    cookie = await signs_in(leads.broker)
    await leads.broker.asks("DELETE", "/api/apps/hbdev/recipes/leads")
    unset = (await sees(leads.broker, "/leads?app=hbdev", cookie)).body.decode()
    form_of_unset = (await sees(leads.broker, "/leads/settings?app=hbdev", cookie)).body.decode()
    await leads.puts(owners={"11": "005Hs0000000Q11IAE"}, salesforceApp="gone")
    elsewhere = (await sees(leads.broker, "/leads?app=hbdev", cookie)).body.decode()
    await leads.puts(owners={"11": "005Hs0000000Q11IAE"})
    first = (await sees(leads.broker, "/leads/settings", cookie)).body.decode()
    page = (await sees(leads.broker, "/leads/settings?app=hbdev&user=u1", cookie)).body.decode()
    form = {
        "app": "hbdev",
        "user": "u1",
        "salesforceApp": "crm",
        "direction": "to-hubspot",
        "pollSeconds": "300",
        "maxWritesPerHour": "6",
        "backfillShare": "0.2",
        "onConverted": "follow",
        "createContacts": "on",
    }
    rows = [("hubspot", "email"), ("salesforce", "Email"), ("wins", "newest")]
    rows += [("hubspot", ""), ("salesforce", ""), ("wins", "newest")]
    saved = await sees(leads.broker, "/leads/settings", cookie, "POST", data=[*form.items(), *rows])
    wrong = await sees(
        leads.broker,
        "/leads/settings",
        cookie,
        "POST",
        data=[
            *form.items(),
            *rows,
            ("hubspot", "No Name"),
            ("salesforce", "X"),
            ("wins", "newest"),
        ],
    )
    stored = (await leads.broker.asks("GET", "/api/apps/hbdev/recipes/leads")).json()

    assert "Leads has no settings for hbdev yet." in unset
    assert 'href="/console/leads/settings?app=hbdev">Set it up</a>' in unset
    assert "The settings name the app gone, which is gone, or" in elsewhere
    assert "Before it can work" not in page
    assert "Fill in the form below." in form_of_unset
    assert "<option selected>crm</option>" in form_of_unset  # the only app there is
    assert '<option value="LastName">string</option>' in page
    assert "could not be read" not in first  # the app of a vendor is none to set a recipe up for
    assert '<option value="jobtitle">' in page
    assert (saved.status, wrong.status) == (303, 400), saved.body
    assert "fields.1.hubspot" in wrong.body.decode()
    assert [each["hubspot"] for each in stored["fields"]] == ["email"]
    assert (stored["direction"], stored["createLeads"]) == ("to-hubspot", False)
    assert stored["owners"] == {"11": "005Hs0000000Q11IAE"}


async def test_a_run_shows_each_field_with_both_values_and_a_dry_run_changes_nothing(leads):
    contact = leads.contact(**{**ANN, "jobtitle": HTML})
    cookie = await signs_in(leads.broker)
    form = {"app": "hbdev", "userForeignIdentifier": "u1", "contactId": contact}
    dry = await sees(leads.broker, "/leads", cookie, "POST", data={**form, "dryRun": "yes"})
    none = leads.leads()
    started = await sees(leads.broker, "/leads", cookie, "POST", data=form)
    await leads.works()
    leads.edit_contact(contact, lastname="Leigh")
    again = await leads.starts(contactId=contact)
    listed = (await sees(leads.broker, "/leads?app=hbdev", cookie)).body.decode()
    run = await sees(leads.broker, f"/leads/run?id={again.json()['runId']}", cookie)
    equal = await leads.starts(contactId=contact)
    equal_run = await sees(leads.broker, f"/leads/run?id={equal.json()['runId']}", cookie)
    wrong = await sees(leads.broker, "/leads", cookie, "POST", data={**form, "contactId": "Ann"})
    path = f"/api/recipes/runs/{again.json()['runId']}"
    result = (await leads.broker.asks("GET", path)).json()["result"]

    text = dry.body.decode()
    assert (dry.status, none, started.status) == (200, {}, 303), text
    assert "lastname, LastName" in text
    assert HTML not in text
    assert f"<bdi>{ANN['email']}</bdi></a><br><small>Contact {contact}<" in listed
    assert "name" not in {**again.json(), **result}
    assert "already equal" in equal_run.body.decode()
    assert wrong.status == 400
    assert "A contact id is a number, for example 226;" in wrong.body.decode()
    assert "and when a lead is created or changed in Salesforce" in listed
    assert re.search(r"<bdi>Lee</bdi>.*<bdi>Leigh</bdi>", run.body.decode())
