"""`broker doctor --app`: each step from a registered app to its first user, proved at the provider."""

import json

import pytest

from .test_cli import shell

__all__ = ["shell"]

STEPS = ["app", "client id and secret", "redirect URL", "scopes", "return URLs", "origins"]


@pytest.fixture
def doctor(shell):
    """`broker doctor --app hbdev`: its exit code, and what it says of each step."""

    async def run(*words, app="hbdev", **environment):
        code, output, complaints = await shell(
            "doctor", "--json", "--app", app, *words, **environment
        )
        assert all(line.startswith("{") for line in complaints.splitlines()), complaints
        return code, json.loads(output)

    return run


async def test_the_doctor_names_what_is_missing_before_the_first_user(broker, doctor):
    await broker.asks("PATCH", "/api/apps/hbdev", json={"returnUrls": [], "origins": []})

    code, steps = await doctor()

    assert code == 0, "what is still to do is no failure"
    assert list(steps)[-len(STEPS) - 2 : -2] == STEPS
    assert steps["client id and secret"] == "ok"
    assert (
        f"add exactly http://localhost:8080/hubspot/hbdev-{broker.workspace}/callback"
        in (steps["redirect URL"])
    )
    assert "open an install link (GET /api/hubspot/auth/hbdev?" in steps["connection"]
    assert "users stay on a page of the broker" in steps["return URLs"]
    assert "before you show the button" in steps["origins"]
    assert "open a tunnel with https" in steps["webhooks"]


async def test_the_doctor_proves_a_connection_and_what_was_granted(broker, hubspot, doctor):
    await broker.connects("u1")
    app = next(iter(hubspot.apps.values()))

    code, steps = await doctor(BROKER_PUBLIC_URL=broker.url)

    assert code == 0, steps
    for each in ("client id and secret", "redirect URL", "connection", "granted scopes", "app id"):
        assert steps[each] == "ok", each

    await broker.asks(
        "PATCH",
        "/api/apps/hbdev",
        json={"appId": str(app.app_id + 1), "scopes": ["oauth", "crm.objects.deals.write"]},
    )
    code, steps = await doctor()
    assert code == 1
    assert steps["app id"] == f"HubSpot says {app.app_id}: correct appId"
    assert "did not grant crm.objects.deals.write" in steps["granted scopes"]


async def test_the_doctor_tells_a_wrong_secret_from_an_ended_grant(broker, hubspot, doctor):
    await broker.connects("u1")
    hubspot.revoke_grants(101)
    code, steps = await doctor()
    assert code == 1
    assert "the user must connect again" in steps["connection"]
    assert steps["client id and secret"] == "ok"

    await broker.asks(
        "PATCH",
        "/api/apps/hbdev",
        json={"clientSecret": "canary-wrong", "scopes": ["crm.objects.contacts.read"]},
    )
    code, steps = await doctor(BROKER_PUBLIC_URL="http://broker.example")
    assert code == 1
    assert steps["client id and secret"].startswith("HubSpot rejects this Client Id")
    assert steps["scopes"].startswith("add oauth")
    assert "accepts https" in steps["redirect URL"]
    assert "canary" not in json.dumps(steps)


async def test_the_doctor_wants_a_workspace_where_two_have_the_slug(broker, doctor, shell):
    code, steps = await doctor(app="nothing")
    assert (code, steps["app"].partition(":")[0]) == (1, "no workspace has nothing")

    _, created, _ = await shell("workspace", "create", "second", "--json")
    second = json.loads(created)["UUID"]
    await shell(
        "app", "add", "hbdev", "--workspace", second, "--client-id", "c", "--app-id", "1",
        "--scope", "oauth", "--client-secret", "canary-s",
    )  # fmt: skip
    code, steps = await doctor()
    assert (code, steps["app"]) == (1, "several workspaces have hbdev: add --workspace")
    code, steps = await doctor("--workspace", str(broker.workspace))
    assert (code, steps["app"]) == (0, "ok")
