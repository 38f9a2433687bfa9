"""The environment as settings."""

import pytest

from broker.settings import Address, Settings, SettingsProblems


def problems(**environ):
    with pytest.raises(SettingsProblems) as refusal:
        Settings.from_env({f"BROKER_{name}": value for name, value in environ.items()})
    return refusal.value.problems


def test_nothing_need_be_set():
    settings = Settings.from_env({"PATH": "/bin"})

    assert settings.public_url == "http://localhost:8080"
    assert settings.listen == Address("127.0.0.1", 8080)
    assert settings.metrics_listen == Address("127.0.0.1", 9090)
    assert settings.hubspot_api_url == "https://api.hubapi.com"
    assert settings.hubspot_app_url == "https://app.hubspot.com"
    assert settings.hubspot_oauth_version == "2026-03"
    assert settings.fml_url == "https://www.firstmilelabs.com"
    assert (settings.upstream_connect_s, settings.upstream_idle_s) == (5, 60)
    assert (settings.upstream_total_s, settings.quota_wait_s) == (120, 10)
    assert settings.max_body_mb == 100
    assert settings.database_url is None


def test_every_problem_is_told_at_once_by_its_name():
    """I5."""
    told = problems(
        LISTEN="nowhere",
        PUBLIC_URL="ftp://x",
        MAX_BODY_MB="lots",
        UPSTREAM_IDLE_S="0",
        TYPO="1",
        DATABASE_URL="postgresql://u:canary@h/d",
    )

    names = {line.partition(":")[0] for line in told}
    assert names == {
        "BROKER_LISTEN",
        "BROKER_PUBLIC_URL",
        "BROKER_MAX_BODY_MB",
        "BROKER_UPSTREAM_IDLE_S",
        "BROKER_TYPO",
        "BROKER_SEALING_KEYS",
    }
    assert "canary" not in "".join(told)


def test_the_broker_is_not_its_own_hubspot():
    """P26."""
    told = problems(PUBLIC_URL="https://b.example", HUBSPOT_API_URL="https://b.example/")

    assert told[0].startswith("BROKER_HUBSPOT_API_URL")


def test_a_file_fills_in_what_the_environment_leaves_out(tmp_path):
    file = tmp_path / ".env"
    file.write_text("BROKER_MAX_BODY_MB=7\nBROKER_LISTEN=0.0.0.0:1\nOTHER=1\n")

    settings = Settings.from_env({"BROKER_LISTEN": "127.0.0.1:2"}, file)

    assert settings.max_body_mb == 7
    assert settings.listen == Address("127.0.0.1", 2)


def test_secrets_do_not_show():
    settings = Settings.from_env(
        {"BROKER_DATABASE_URL": "postgresql://u:canary@h/d", "BROKER_SEALING_KEYS": "canary"}
    )

    assert "canary" not in repr(settings)
    assert "canary" not in settings.model_dump_json()
