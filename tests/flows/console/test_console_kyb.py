"""KYB in the console over HTTP: what a kickoff does is seen, and nobody sees another's."""

import re

from broker.recipes.kyb.console.views import STEP_TITLES
from broker.recipes.kyb.steps import KybSteps

from .test_console import HTML, sees, signs_in


async def starts(kyb, cookie, company, **more):
    """A kickoff from the console, run to where it stops; the page of its run."""
    form = {"app": "hbdev", "userForeignIdentifier": "u1", "companyId": company, **more}
    begun = await sees(kyb.broker, "/kyb", cookie, "POST", data=form)
    assert begun.status == 303, begun.body
    await kyb.run_background_work()
    return begun.headers["Location"].removeprefix("/console")


async def test_every_step_of_the_recipe_has_a_title():
    assert list(STEP_TITLES) == [step.name for step in KybSteps(*[None] * 6).steps()]


async def test_a_kickoff_is_started_and_its_steps_are_seen(kyb):
    cookie = await signs_in(kyb.broker, await kyb.broker.makes_key("console", "recipes"))

    page = await starts(kyb, cookie, kyb.company())
    again = await starts(kyb, cookie, kyb.company(), customerEmail="no address")

    shown = (await sees(kyb.broker, page, cookie)).body.decode()
    assert [step in shown for step in STEP_TITLES.values()] == [True] * 4
    assert shown.count('<li class="done">') == 4
    assert next(iter(kyb.fml.fml.cases)) in shown
    assert "https://cases.firstmilelabs.com/" in shown
    failed = (await sees(kyb.broker, again, cookie, headers={"HX-Request": "true"})).body.decode()
    assert "<!doctype" not in failed
    assert '<li class="failed">' in failed
    assert failed.count('<li class="ahead">') == 2
    assert "is not an e-mail address" in failed
    listed = (await sees(kyb.broker, "/kyb?state=failed", cookie)).body.decode()
    assert len(re.findall(r"/console/kyb/run\?id=", listed)) == 1
    retried = await sees(
        kyb.broker, "/kyb/retry", cookie, "POST", data={"id": again.partition("=")[2]}
    )
    assert retried.headers["Location"] == f"/console{again}"
    assert len(kyb.fml.fml.cases) == 1


async def test_runs_are_named_by_their_company_and_show_the_decision(kyb):
    """F26."""
    cookie = await signs_in(kyb.broker)
    company = kyb.company(name="<b>Acme</b> & Sons")
    await starts(kyb, cookie, company)
    await kyb.broker.parts.recipes.runs.join()
    undecided = (await sees(kyb.broker, "/kyb?app=hbdev", cookie)).body.decode()
    case = next(iter(kyb.fml.fml.cases.values()))
    event = {
        "event": "case.decision.made", "eventId": "1", "eventVersion": 1, "timestamp": "2030-01-02T03:04:05.000Z",
        "orgId": "org", "crmRecordId": company, "caseId": case.case_id, "decision": "Rejected",
    }  # fmt: skip
    await kyb.sends_fml_event(event)
    await kyb.run_background_work()

    listed = (await sees(kyb.broker, "/kyb?app=hbdev", cookie)).body.decode()

    assert "<bdi>&lt;b&gt;Acme&lt;/b&gt; &amp; Sons</bdi>" in listed
    assert f"<small>Company {company}</small>" in listed
    assert "no decision yet" in undecided
    assert "decision: <strong>Rejected</strong>" in listed


async def test_the_page_says_what_is_missing_when_it_starts_and_what_a_wrong_id_should_be(kyb):
    broker, cookie = kyb.broker, await signs_in(kyb.broker)
    form = {"app": "hbdev", "userForeignIdentifier": "u1", "companyId": "<b>Acme</b>"}
    by_itself = (await sees(broker, "/kyb?app=hbdev", cookie)).body.decode()
    trigger = {"property": "lifecyclestage", "value": "opportunity"}
    body = {"clientId": "pk_live_tests", "trigger": trigger}
    await broker.asks("PUT", "/api/apps/hbdev/recipes/kyb", json=body)
    triggered = (await sees(broker, "/kyb?app=hbdev", cookie)).body.decode()
    page = await sees(broker, "/kyb", cookie, "POST", data=form)
    part = await sees(broker, "/kyb", cookie, "POST", data=form, headers={"HX-Request": "true"})
    nothing = await sees(broker, "/kyb", cookie, "POST", data={"app": "hbdev"})
    api = {"userForeignIdentifier": "u1", "companyId": "Acme"}
    called = await broker.asks("POST", "/api/recipes/kyb/hbdev", json=api)
    await broker.registers("fresh")
    fresh = (await sees(broker, "/kyb?app=fresh", cookie)).body.decode()

    assert "Does not start by itself: no property is chosen." in by_itself
    assert "property lifecyclestage becomes opportunity." in triggered
    assert "Before it can work" not in triggered
    sentence = "A company id is a number, for example 227;"
    assert (page.status, part.status, nothing.status) == (400, 200, 400)
    assert [each.headers["Broker-Error"] for each in (page, part, nothing)] == [
        "invalid-request"
    ] * 3
    assert sentence in page.body.decode()
    assert 'value="&lt;b&gt;Acme&lt;/b&gt;"' in page.body.decode()  # what was typed is not lost
    assert sentence in part.body.decode()
    assert b"<!doctype" not in part.body
    assert "Type the user and the company id; or" in nothing.body.decode()
    assert called.json()["errors"] == [
        {"field": "companyId", "message": "must be a HubSpot record id: 1 to 20 digits"}
    ]
    assert "KYB has no settings for fresh yet." in fresh
    assert "No user of fresh has an active connection to HubSpot." in fresh
    assert ">Start onboarding<" not in fresh


async def test_a_dry_run_shows_what_it_would_do_and_does_nothing(kyb):
    cookie = await signs_in(kyb.broker)
    form = {
        "app": "hbdev",
        "userForeignIdentifier": "u1",
        "companyId": kyb.company(),
        "dryRun": "yes",
    }

    answer = await sees(kyb.broker, "/kyb", cookie, "POST", data=form)

    assert b"Nothing was changed" in answer.body
    text = answer.body.decode()
    assert "<dt>Company name</dt><dd><bdi>Acme Holdings Ltd</bdi>" in text
    invited = text.index(" gets an invitation by e-mail.")
    assert invited < text.index("First Mile Labs would receive")
    assert not re.findall(r"[{]|true|sendInvite", text)
    assert (kyb.fml.fml.cases, kyb.writes()) == ({}, [])


async def test_settings_are_stored_and_secrets_never_shown(kyb):
    cookie = await signs_in(kyb.broker)
    form = {
        "app": "hbdev", "clientId": "pk_live_tests", "clientSecret": "", "webhookSecret": "", "callsPerMinute": "60",
        "trigger.property": "lifecyclestage", "trigger.value": "opportunity",
        **{f"properties.{name}": f"read_{name.lower()}" for name in ("customerEmail", "customerName", "companyName", "country")},
        "writeBack.caseId": "fml_case_id",
    }  # fmt: skip

    limits = {"minSuccessRate": 0.5, "maxP95S": None, "window": 9}
    body = {"clientId": "pk_live_tests", "health": limits}  # the form has no field for limits
    await kyb.broker.asks("PUT", "/api/apps/hbdev/recipes/kyb", json=body)
    kept = await sees(kyb.broker, "/kyb/settings", cookie, "POST", data=form)
    bad = {
        **form,
        "properties.country": HTML,
        "trigger.property": "fml_case_id",
        "callsPerMinute": "x",
    }
    wrong = await sees(kyb.broker, "/kyb/settings", cookie, "POST", data=bad)
    page = await sees(kyb.broker, kept.headers["Location"].partition("/console")[2], cookie)
    assert '<p role="status"><strong>Saved.</strong>' in page.body.decode()

    assert kept.status == 303
    settings = (await kyb.broker.asks("GET", "/api/apps/hbdev/recipes/kyb")).json()
    assert settings["health"] == limits
    assert settings["trigger"] == {"property": "lifecyclestage", "value": "opportunity"}
    assert settings["properties"]["country"] == "read_country"
    assert settings["writeBack"] == {
        "caseId": "fml_case_id", "status": None, "stage": None, "decision": None, "lastEventAt": None,
    }  # fmt: skip
    assert (settings["callsPerMinute"], settings["sendInvite"], settings["hasWebhookSecret"]) == (
        60,
        False,
        True,
    )
    assert wrong.status == 400
    assert b"properties.country" in wrong.body
    assert b"<img" not in wrong.body
    assert settings["webhookUrl"].encode() in page.body
    assert b"canary" not in page.body + wrong.body
    await sees(kyb.broker, "/kyb/remove", cookie, "POST", data={"app": "hbdev"})
    assert (await kyb.broker.asks("GET", "/api/apps/hbdev/recipes/kyb")).status == 404
    first = await sees(kyb.broker, "/kyb/settings", cookie, "POST", data=form)
    assert b"is needed the first time" in first.body
    nothing = await sees(
        kyb.broker,
        "/kyb",
        cookie,
        "POST",
        data={"app": "hbdev", "userForeignIdentifier": "u1", "companyId": "1"},
    )
    assert nothing.headers["Broker-Error"] == "recipe-not-found"


async def test_the_settings_page_creates_missing_properties(kyb):
    cookie = await signs_in(kyb.broker)
    form = {"app": "hbdev", "user": "u1"}

    answer = await sees(kyb.broker, "/kyb/prepare", cookie, "POST", data=form)
    nobody = await sees(kyb.broker, "/kyb/prepare", cookie, "POST", data={**form, "user": "x"})

    assert b"Nothing was missing" in answer.body
    assert nobody.headers["Broker-Error"] == "connection-not-found"


async def test_events_without_a_run_are_shown(kyb):
    cookie = await signs_in(kyb.broker)
    event = {
        "event": "case.status.changed", "eventId": HTML, "eventVersion": 1, "timestamp": "2026-01-02T03:04:05.000Z",
        "orgId": "org", "crmRecordId": "lead-1", "caseId": "case-of-nobody", "status": "approved",
    }  # fmt: skip
    assert (await kyb.sends_fml_event(event)).status == 204
    for _ in range(12):
        await kyb.broker.parts.database.execute(
            "UPDATE vendor_event SET due_at = now() WHERE due_at IS NOT NULL"
        )
        await kyb.run_background_work()

    page = await sees(kyb.broker, "/kyb/parked", cookie)

    assert b"case-of-nobody" in page.body
    assert b"<img" not in page.body


async def test_kyb_is_seen_with_a_key_for_it_and_for_the_app_alone(kyb):
    """U16."""
    broker = kyb.broker
    run = await starts(kyb, await signs_in(broker), kyb.company())
    number = run.partition("=")[2]
    await broker.registers("other")
    without = await signs_in(broker, await broker.makes_key("console", "apps", "connect", "proxy"))
    elsewhere = await signs_in(
        broker, await broker.makes_key("console", "recipes", apps=("other",))
    )
    requests = [
        ("GET", "/kyb?app=hbdev", None),
        ("GET", run, None),
        ("GET", "/kyb/parked?app=hbdev", None),
        ("GET", "/kyb/settings?app=hbdev", None),
        ("POST", "/kyb", {"app": "hbdev", "userForeignIdentifier": "u1", "companyId": "1"}),
        ("POST", "/kyb/retry", {"id": number}),
        ("POST", "/kyb/settings", {"app": "hbdev"}),
        ("POST", "/kyb/remove", {"app": "hbdev"}),
        ("POST", "/kyb/prepare", {"app": "hbdev", "user": "u1"}),
    ]

    for method, path, form in requests:
        answers = [
            await sees(broker, path, cookie, method, data=form) for cookie in (without, elsewhere)
        ]
        assert [each.status for each in answers] == [403, 404], path
        if method == "POST":
            headers = {"Cookie": without, "Sec-Fetch-Site": "cross-site"}
            foreign = await broker.asks(
                "POST", f"/console{path}", key="", data=form, headers=headers
            )
            assert foreign.headers["Broker-Error"] == "origin-refused", path
    assert (await broker.asks("GET", "/api/apps/hbdev/recipes/kyb")).status == 200
    assert b"kyb" not in (await sees(broker, "/apps", without)).body.lower()
