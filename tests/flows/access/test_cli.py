"""The `broker` command, as an operator types it."""

import json
import os
import re
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.fixtures.shell import run_command

NOTHING = "00000000-0000-0000-0000-000000000000"
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
        environ = {**clean, **{name: each for name, each in ours.items() if each}}
        return await run_command(words, environ, tmp_path, stdin)

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
    revoked, _, _ = await shell("key", "revoke", json.loads(key)["id"], "--yes")
    _, keys, _ = await shell("key", "list", *where, "--json")
    removed, _, _ = await shell("app", "remove", "hbdev", *where, "--yes")
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


async def test_an_app_of_another_provider_is_added_with_its_options(shell, broker):
    where = ("--workspace", broker.workspace, "--client-id", "c", "--scope", "api")
    options = ("--my-domain", "acme.my.salesforce.com", "--environment")

    code, made, err = await shell(
        *("app", "add", "crm", *where, "--provider", "salesforce", *options, "sandbox", "--json"),
        stdin="canary-secret\n",
    )
    refused, _, why = await shell(
        *("app", "add", "more", *where, "--provider", "salesforce", *options, "moon"),
        stdin="canary-secret\n",
    )

    assert code == 0, err
    app = json.loads(made[made.index("{") :])
    assert (app["provider"], app["environment"]) == ("salesforce", "sandbox")
    assert app["myDomain"] == "acme.my.salesforce.com"
    assert "/salesforce/crm-" in app["redirectUrl"]
    assert refused != 0
    assert "environment" in why


async def test_what_the_api_knows_of_an_app_the_shell_knows(shell, broker):
    where = ("--workspace", broker.workspace)
    code, _, err = await shell(
        *("app", "add", "second", *where, "--client-id", "c", "--app-id", "2", "--scope", "oauth"),
        *("--allow", "GET,POST /crm/v3/objects/contacts*", "--journal", "--legacy-signatures"),
        *("--display-name", "Acme", "--logo-url", "https://product.example/logo.svg"),
        *("--install-url", "https://product.example/in", "--marketplace", "--no-pkce"),
        *("--confirm", "required", "--return-url", "https://product.example/", "--json"),
        stdin="canary-secret\n",
    )
    assert code == 0, err
    app = (await broker.asks("GET", "/api/apps/second")).json()
    _, shown, _ = await shell("app", "show", "second", *where, "--json")
    here = broker.url, "http://localhost:8080"
    assert json.loads(shown) == {
        name: each.replace(*here) if isinstance(each, str) else each for name, each in app.items()
    }
    assert app["policy"] == [{"methods": ["GET", "POST"], "path": "/crm/v3/objects/contacts*"}]
    assert [app[name] for name in ("journal", "legacySignatures", "marketplace", "pkce")] == [
        *(True, True, True, False)
    ]

    _, changed, _ = await shell(
        *("app", "change", "second", *where, "--no-journal", "--allow-all", "--json")
    )
    kept = {**json.loads(shown), "journal": False, "policy": None}
    assert {**json.loads(changed), "updatedAt": 0} == {**kept, "updatedAt": 0}
    _, text, _ = await shell("app", "show", "second", *where)
    assert "[" not in text
    assert "None" not in text
    assert "credentialsRefusedAt  -" in text


async def test_a_wrong_setting_of_an_app_is_one_line_on_the_shell(shell, broker):
    add = ("app", "add", "x", "--workspace", broker.workspace, "--client-id", "c", "--app-id")
    for more, named in [
        (("abc", "--scope", "oauth"), "appId"),
        (("1", "--scope", "oauth", "--origin", "https://a.example/x"), "origins.0"),
        (("1", "--scope", "oauth", "--allow", "TRACE /x"), "policy.0.methods.0"),
        (("1", "--scope", "oauth", "--logo-url", "http://a.example/"), "logoUrl"),
    ]:
        code, _, err = await shell(*add, *more, stdin="canary\n")
        assert code == 1
        assert err.strip().splitlines()[-1].startswith(f"broker: {named}: "), err
        assert "Traceback" not in err


async def test_a_key_is_changed_from_the_shell(shell, broker):
    where = ("--workspace", broker.workspace)
    _, made, _ = await shell("key", "create", *where, "--scope", "apps", "--json")
    key = json.loads(made)
    broker.secrets.append(key["clientSecret"])

    _, changed, _ = await shell(
        *("key", "change", key["id"], "--add-scope", "calls", "--remove-scope", "apps"),
        *("--app", "HBDEV", "--allow", "GET /crm/*", "--name", "reader", "--json"),
    )
    _, lifted, _ = await shell(
        "key", "change", key["clientId"], "--all-apps", "--allow-all", "--json"
    )

    now = json.loads(changed)
    assert (now["scopes"], now["apps"], now["name"]) == (["calls"], ["hbdev"], "reader")
    assert now["policy"] == [{"methods": ["GET"], "path": "/crm/*"}]
    assert (json.loads(lifted)["apps"], json.loads(lifted)["policy"]) == (None, None)
    _, listed, _ = await shell("key", "list", *where)
    heads = ["id", "client", "id", "state", "name", "scopes", "apps", "policy", "last", "used"]
    assert listed.splitlines()[0].split() == heads
    for words, line in [
        (("key", "change", key["id"], "--remove-scope", "calls"), "at least one scope"),
        (("key", "change", key["id"], "--add-scope", "everything"), "unknown scope everything"),
        (("key", "change", key["id"]), "nothing to change"),
        (("key", "list", "--workspace", NOTHING), "There is no such workspace."),
        (("app", "list", "--workspace", NOTHING), "There is no such workspace."),
        (("audit", "list", "--workspace", NOTHING), "There is no such workspace."),
    ]:
        code, _, err = await shell(*words)
        assert (code, len(err.strip().splitlines())) == (1, 1), err
        assert line in err


async def test_a_leaked_key_is_found_by_its_secret_looked_into_and_revoked(shell, broker):
    await broker.connects("u1")
    secret = await broker.makes_key("proxy", "calls")
    served = await broker.proxies("/_echo/x", key=secret)
    await broker.proxies("/_echo/x", key=secret, user="nobody")
    await broker.proxies("/_echo/x")
    await broker.parts.call_log.flush()
    where = ("--workspace", broker.workspace)

    _, found, prompt = await shell("key", "find", "--json", stdin=f"{secret}\n")
    key = json.loads(found)
    assert (key["workspace"], key["revokedAt"], prompt) == (broker.workspace, None, "")
    assert secret not in found

    async def statuses(*filters):
        _, listed, _ = await shell("calls", "list", *where, *filters, "--json")
        return [(call["app"], call["status"]) for call in json.loads(listed)["calls"]]

    request_id = served.headers["Broker-Request-Id"]
    assert await statuses("--key", key["clientId"]) == [("hbdev", 404), ("hbdev", 200)]
    assert await statuses("--key", key["id"], "--status", "2xx") == [("hbdev", 200)]
    assert await statuses("--request-id", request_id) == [("hbdev", 200)]
    assert await statuses("--user", "u1", "--app", "HBDEV", "--limit", "1") == [("hbdev", 200)]
    assert await statuses("--since", "2099-01-01") == []
    _, table, _ = await shell("calls", "list", *where, "--error", "connection-not-found")
    assert table.split()[:6] == ["at", "status", "error", "app", "user", "call"]
    for words, line in [
        (("calls", "list", *where, "--status", "9"), "must be a status such as 404"),
        (("calls", "list", *where, "--app", "none"), "No such app"),
        (("calls", "list", "--workspace", NOTHING), "There is no such workspace."),
        (("key", "revoke", key["clientId"]), "pass --yes"),
        (("key", "revoke", secret, "--yes"), "broker key find"),
    ]:
        code, out, err = await shell(*words)
        assert (code, out, len(err.strip().splitlines())) == (1, "", 1), err
        assert line in err
        assert secret not in err

    code, _, _ = await shell("key", "revoke", key["clientId"], "--yes")
    _, found, _ = await shell("key", "find", "--json", stdin=secret)
    assert (code, bool(json.loads(found)["revokedAt"])) == (0, True)


async def test_the_last_key_that_manages_keys_stays(shell, broker):
    _, listed, _ = await shell("key", "list", "--workspace", broker.workspace, "--json")
    first = json.loads(listed)["keys"][0]["id"]

    code, _, err = await shell("key", "revoke", first, "--yes")

    assert code == 1
    assert "last key that can manage keys" in err
    assert (await broker.asks("GET", "/api/apps")).status == 200


async def test_workspaces_are_listed_and_a_second_of_one_name_is_no_accident(shell):
    _, first, _ = await shell("workspace", "create", "acme", "--json")
    code, _, err = await shell("workspace", "create", "acme")
    again, second, _ = await shell("workspace", "create", "acme", "--same-name", "--json")
    _, listed, _ = await shell("workspace", "list", "--json")
    _, text, _ = await shell("workspace", "list")

    ids = [json.loads(each)["UUID"] for each in (first, second)]
    assert (code, again) == (1, 0)
    assert ids[0] in err
    assert [each["UUID"] for each in json.loads(listed)["workspaces"]] == ids
    assert text.split()[:3] == ["UUID", "name", "createdAt"]


async def test_the_audit_is_listed_and_verified_from_the_shell(shell, broker, database):
    where = ("--workspace", broker.workspace)
    await shell("key", "create", *where, "--scope", "apps")

    _, listed, _ = await shell("audit", "list", *where, "--action", "key.*", "--json")
    code, verdict, _ = await shell("audit", "verify", *where, "--json")
    entry = json.loads(listed)["entries"][0]
    assert (entry["actor"], entry["via"], entry["action"]) == ("operator", "shell", "key.created")
    assert "@" in entry["address"]
    assert (code, json.loads(verdict)["broken"]) == (0, None)
    assert json.loads(verdict)["head"] == entry["hash"]

    await database.execute("UPDATE audit SET action = 'nothing' WHERE sequence = 2")
    code, verdict, _ = await shell("audit", "verify", *where)
    assert code == 1
    assert "BAD entry 2 was changed or is missing" in verdict


async def test_the_version_is_said(shell):
    code, version, _ = await shell("--version", BROKER_DATABASE_URL="", BROKER_SEALING_KEYS="")

    assert (code, version) == (0, "broker 0.1.0\n")


async def test_every_connection_of_an_app_is_ended_with_a_report(broker, shell, hubspot):
    """I1."""
    for user in ("u1", "u2", "u3"):
        await broker.connects(user)
    where = ("--workspace", broker.workspace, "--app", "hbdev")

    _, listed, _ = await shell("connections", "list", *where, "--json")
    _, one, _ = await shell("connections", "show", "u1", *where, "--json")
    every = ("connections", "revoke", "--all", *where, "--json")
    code, report, _ = await shell(*every, "--yes")
    again, rest, _ = await shell(*every, "--yes")

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
    results = [
        await shell("serve", BROKER_SEALING_KEYS=""),
        await shell("serve", BROKER_SEALING_KEYS="k1:c2hvcnQ="),
        await shell("migrate", BROKER_DATABASE_URL="postgresql://nobody@127.0.0.1:1/x"),
        await shell("workspace", "create", " "),
        await shell("key", "revoke", NOTHING, "--yes"),
        await shell("key", "revoke", f"bc_{NOTHING.replace('-', '')}0123456789ab", "--yes"),
        await shell("key", "revoke", NOTHING),
        await shell("key", "find", stdin="bs_canary\n"),
        await shell("app", "remove", "hbdev", "--workspace", NOTHING),
        await shell("connections", "revoke", "--all", "--workspace", NOTHING, "--app", "hbdev"),
        await shell("key", "create", "--workspace", "00000000-0000-0000-0000-000000000000"),
        await shell("serve", BROKER_TYPO="1"),
    ]

    for code, out, err in results:
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

    where = ("--workspace", broker.workspace, "--action", "secrets.*")
    _, audit, _ = await shell("audit", "list", *where, "--json", BROKER_SEALING_KEYS=new)
    (entry,) = json.loads(audit)["entries"]
    assert (entry["action"], entry["actor"]) == ("secrets.resealed", "operator")
    assert (entry["via"], entry["detail"]) == ("shell", "4 values under key k2")
    assert json.loads(first)["resealed"] == 4
    assert json.loads(second)["resealed"] == 0
    assert code == 0


async def test_the_doctor_names_what_is_wrong(shell, hubspot):
    code, checks, _ = await shell("doctor", "--json", BROKER_FML_URL=hubspot.url)
    sick, bad, _ = await shell(
        "doctor", "--json", BROKER_FML_URL=hubspot.url, BROKER_PUBLIC_URL="http://b.example"
    )

    assert set(json.loads(checks).values()) == {"ok"}
    assert code == 0
    assert sick == 1
    assert "https" in json.loads(bad)["public URL"]


async def test_the_doctor_judges_only_what_is_used(shell, broker, hubspot):
    """Without a recipe nothing calls its vendor, which may then be out of reach."""
    away = "http://127.0.0.1:9"
    code, _, _ = await shell("doctor", "--json", BROKER_FML_URL=away)
    settings = {"clientId": "pk", "clientSecret": "canary-s", "webhookSecret": "canary-w"}
    answer = await broker.asks("PUT", "/api/apps/hbdev/recipes/kyb", json=settings)
    assert answer.status < 300, answer.body
    used, checks, _ = await shell("doctor", "--json", BROKER_FML_URL=away)
    _, text, _ = await shell("doctor", BROKER_FML_URL=hubspot.url)

    assert (code, used) == (0, 1)
    assert json.loads(checks)["FML"].startswith("the connection was refused: ")
    assert "database sessions: up to " in text
    assert "file descriptors: " in text


async def test_the_doctor_looks_further_than_the_scheme_of_the_public_url(shell, hubspot):
    code, checks, _ = await shell(
        "doctor", "--json", BROKER_FML_URL=hubspot.url, BROKER_PUBLIC_URL="https://nothing.invalid"
    )

    assert code == 1
    assert "does not resolve" in json.loads(checks)["public URL"]


async def test_the_doctor_counts_the_sessions_that_postgres_admits(shell, database, hubspot, dsn):
    await database.execute("CREATE ROLE narrow LOGIN SUPERUSER CONNECTION LIMIT 8")
    try:
        code, checks, _ = await shell(
            "doctor",
            "--json",
            BROKER_FML_URL=hubspot.url,
            BROKER_DATABASE_URL=re.sub(r"user=\w+|//\w+@", _as_narrow, dsn),
        )
    finally:
        await database.execute("DROP ROLE narrow")

    assert code == 1
    assert "Postgres admits 8" in json.loads(checks)["database sessions"]


async def test_the_doctor_counts_the_sessions_that_one_database_admits(shell, database, hubspot):
    """F11: as hosted plans limit it, for all roles together."""
    name = await database.fetchval("SELECT current_database()")
    await database.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 5')
    try:
        code, checks, _ = await shell("doctor", "--json", BROKER_FML_URL=hubspot.url)
    finally:
        await database.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')

    assert code == 1
    assert "up to 11, and Postgres admits 5" in json.loads(checks)["database sessions"]


@pytest.fixture
def new_data_dir():
    """A folder that the user of an embedded Postgres can reach."""
    with tempfile.TemporaryDirectory(prefix="broker-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield f"{folder}/data"


async def test_the_doctor_of_an_installation_that_never_ran_finds_nothing_wrong(
    shell, new_data_dir
):
    embedded = {"BROKER_DATABASE_URL": "", "BROKER_SEALING_KEYS": ""}
    code, text, err = await shell("doctor", **embedded, BROKER_DATA_DIR=new_data_dir)

    assert code == 0, text + err
    assert "ok    schema: made when the broker starts" in text
    assert "Error" not in text


async def test_the_doctor_says_what_is_wrong_without_names_of_classes(shell, hubspot):
    code, checks, _ = await shell(
        "doctor",
        "--json",
        BROKER_FML_URL=hubspot.url,
        BROKER_DATABASE_URL="postgresql://nobody@127.0.0.1:1/x",
        BROKER_HUBSPOT_API_URL="http://nothing.invalid",
    )

    assert code == 1
    assert json.loads(checks)["database"].startswith("BROKER_DATABASE_URL: nothing listens")
    assert "the host name nothing.invalid does not resolve" in json.loads(checks)["HubSpot"]


def _as_narrow(found):
    return found[0].replace(re.search(r"\w+$", found[0].rstrip("@"))[0], "narrow")


async def test_the_document_needs_no_database(shell):
    code, document, _ = await shell("openapi", BROKER_DATABASE_URL="", BROKER_SEALING_KEYS="")

    assert code == 0
    assert json.loads(document)["openapi"] == "3.1.0"


async def test_kubernetes_own_variables_and_line_breaks_of_secrets_stop_no_command(shell, dsn):
    """F2, F3."""
    code, _, complaints = await shell(
        "migrate",
        BROKER_PORT="tcp://10.96.12.7:80",
        BROKER_SERVICE_HOST="10.96.12.7",
        BROKER_PORT_80_TCP_ADDR="10.96.12.7",
        BROKER_DATABASE_URL=f"{dsn}\n",
        BROKER_SEALING_KEYS=f"{KEY}\n",
        BROKER_PUBLIC_URL="https://b.example\n",
    )

    assert (code, complaints) == (0, "")


@pytest.mark.parametrize("command", ["migrate", "serve", "doctor"])
async def test_a_parameter_of_a_database_url_that_cannot_be_kept_is_named(shell, dsn, command):
    """F8."""
    code, _, complaints = await shell(
        command,
        BROKER_DATABASE_URL=f"{dsn}&gssencmode=require",
        BROKER_MIGRATION_DATABASE_URL="mysql://u:canary@h/d",
        BROKER_LISTEN="nowhere",
    )

    assert code == 1
    assert [line.partition(": ")[2].partition(":")[0] for line in complaints.splitlines()] == [
        "BROKER_LISTEN",
        "BROKER_DATABASE_URL",
        "BROKER_MIGRATION_DATABASE_URL",
    ]
    assert "gssencmode=require" in complaints
    assert "canary" not in complaints


@pytest.mark.parametrize("command", [("migrate",), ("serve",), ("work",), ("workspace", "list")])
async def test_a_database_that_cannot_be_reached_is_one_line_that_names_the_setting(
    shell, dsn, command
):
    """F8, F21."""
    elsewhere = urlsplit(dsn)._replace(path="/none_such").geturl()
    code, _, complaints = await shell(*command, BROKER_DATABASE_URL=elsewhere)

    assert code == 1
    assert len(complaints.splitlines()) == 1
    assert complaints.startswith('broker: BROKER_DATABASE_URL: database "none_such"')
    assert complaints.endswith(": create the database, or check its name\n")


async def test_the_doctor_sees_a_database_that_takes_no_writes(shell, dsn):
    """A standby after a failover, or the storage guard of a hosted Postgres."""
    read_only = f"{dsn}&options=-cdefault_transaction_read_only%3Don"
    code, checks, _ = await shell("doctor", "--json", BROKER_DATABASE_URL=read_only)

    assert code == 1
    assert "read-only transaction" in json.loads(checks)["database writes"]


async def test_the_doctor_says_what_it_makes_of_a_forward_proxy_and_of_certificates(
    shell, tmp_path
):
    """F18."""
    _, text, _ = await shell(
        "doctor", HTTPS_PROXY="http://u:canary@proxy.corp:3128", NO_PROXY="localhost,.corp"
    )
    code, checks, _ = await shell(
        "doctor",
        "--json",
        HTTPS_PROXY="https://proxy.corp",
        SSL_CERT_FILE=str(tmp_path / "none.pem"),
        REQUESTS_CA_BUNDLE="/etc/ca.pem",
    )

    assert "ok    HTTPS_PROXY: proxy.corp:3128; without it: localhost,.corp" in text
    assert "canary" not in text
    assert code == 1
    assert "http://host:port" in json.loads(checks)["HTTPS_PROXY"]
    assert "cannot be read" in json.loads(checks)["SSL_CERT_FILE"]
