"""The `broker` command, as an operator types it."""

import asyncio
import json
import os
import sys

import pytest

KEY = "k1:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="


@pytest.fixture
def shell(dsn, hubspot, tmp_path):
    """Run a command; its exit code, stdout and stderr."""

    async def run(*words, stdin="", **environ):
        ours = {
            "BROKER_DATABASE_URL": dsn,
            "BROKER_SEALING_KEYS": KEY,
            "BROKER_HUBSPOT_API_URL": hubspot.url,
            "BROKER_HUBSPOT_APP_URL": hubspot.url,
            **environ,
        }
        clean = {name: each for name, each in os.environ.items() if not name.startswith("BROKER_")}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "broker",
            *words,
            cwd=tmp_path,
            env={**clean, **{name: each for name, each in ours.items() if each}},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(stdin.encode())
        return process.returncode, out.decode(), err.decode()

    return run


async def test_an_operator_sets_everything_up_from_the_shell(shell):
    _, made, _ = await shell("workspace", "create", "acme", "--json")
    workspace = json.loads(made)
    where = ("--workspace", workspace["UUID"])
    _, key, _ = await shell("key", "create", *where, "--scope", "proxy", "--app", "hbDev", "--json")
    _, app, _ = await shell(
        *("app", "add", "hbDev", *where, "--client-id", "c", "--app-id", "1", "--scope", "oauth"),
        "--json",
        stdin="canary-secret\n",
    )
    _, shown, _ = await shell("app", "show", "HBDEV", *where, "--json")
    _, listed, _ = await shell("app", "list", *where, "--json")
    revoked, _, _ = await shell("key", "revoke", json.loads(key)["id"])
    _, keys, _ = await shell("key", "list", *where, "--json")
    removed, _, _ = await shell("app", "remove", "hbdev", *where)
    gone, _, refusal = await shell("app", "show", "hbdev", *where)

    assert set(workspace) == {"UUID", "name", "clientId", "clientSecret", "scopes"}
    assert workspace["clientSecret"].startswith("bs_")
    assert (json.loads(key)["scopes"], json.loads(key)["apps"]) == (["proxy"], ["hbdev"])
    assert json.loads(app[app.index("{") :])["slug"] == "hbdev"
    assert "canary" not in app + shown + listed
    assert json.loads(listed)["apps"] == [json.loads(shown)]
    assert [bool(each["revokedAt"]) for each in json.loads(keys)["keys"]] == [False, True]
    assert (revoked, removed, gone) == (0, 0, 1)
    assert refusal.strip().count("\n") == 0


async def test_every_connection_of_an_app_is_ended_with_a_report(broker, shell, hubspot):
    """I1."""
    for user in ("u1", "u2", "u3"):
        await broker.connects(user)
    where = ("--workspace", broker.workspace, "--app", "hbdev")

    _, listed, _ = await shell("connections", "list", *where, "--json")
    _, one, _ = await shell("connections", "show", "u1", *where, "--json")
    code, report, _ = await shell("connections", "revoke", "--all", *where, "--json")
    again, rest, _ = await shell("connections", "revoke", "--all", *where, "--json")

    assert [each["userForeignIdentifier"] for each in json.loads(listed)["connections"]] == [
        "u1",
        "u2",
        "u3",
    ]
    assert json.loads(one)["hubId"] == 101
    assert json.loads(report) == {"connections": 3, "outcomes": {"revoked": 3}, "notRevoked": 0}
    assert json.loads(rest)["connections"] == 0
    assert (code, again) == (0, 0)
    assert len(hubspot.revocations) == 3


async def test_a_command_that_cannot_says_why_in_a_line(shell):
    told = [
        await shell("serve", BROKER_SEALING_KEYS=""),
        await shell("serve", BROKER_SEALING_KEYS="k1:c2hvcnQ="),
        await shell("migrate", BROKER_DATABASE_URL="postgresql://nobody@127.0.0.1:1/x"),
        await shell("workspace", "create", " "),
        await shell("key", "revoke", "00000000-0000-0000-0000-000000000000"),
        await shell("key", "create", "--workspace", "00000000-0000-0000-0000-000000000000"),
        await shell("serve", BROKER_TYPO="1"),
    ]

    for code, out, err in told:
        assert code == 1
        assert out == ""
        assert len(err.strip().splitlines()) == 1
        assert err.startswith("broker: ")
        assert "c2hvcnQ" not in err


async def test_resealing_is_counted(broker, shell):
    await broker.connects("u1")
    new = "k2:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

    _, first, _ = await shell("reseal", "--json", BROKER_SEALING_KEYS=f"{new},{KEY}")
    _, second, _ = await shell("reseal", "--json", BROKER_SEALING_KEYS=f"{new},{KEY}")
    code, _, _ = await shell(
        "app", "list", "--workspace", broker.workspace, BROKER_SEALING_KEYS=new
    )

    assert json.loads(first)["resealed"] == 4
    assert json.loads(second)["resealed"] == 0
    assert code == 0


async def test_the_doctor_names_what_is_wrong(shell, hubspot):
    code, told, _ = await shell("doctor", "--json", BROKER_FML_URL=hubspot.url)
    sick, bad, _ = await shell(
        "doctor", "--json", BROKER_FML_URL=hubspot.url, BROKER_PUBLIC_URL="http://b.example"
    )

    assert set(json.loads(told).values()) == {"ok"}
    assert code == 0
    assert sick == 1
    assert "https" in json.loads(bad)["public URL"]


async def test_the_document_needs_no_database(shell):
    code, document, _ = await shell("openapi", BROKER_DATABASE_URL="", BROKER_SEALING_KEYS="")

    assert code == 0
    assert json.loads(document)["openapi"] == "3.1.0"
