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
    assert settings.migration_database_url is None
    assert settings.database_pool_size == 10
    assert settings.call_log_days == 30
    assert (settings.migrate_on_start, settings.work_in_serve) == (False, True)
    assert settings.allow_private_endpoints is False
    assert settings.log_format is None
    assert settings.data_dir is None


def test_every_problem_is_reported_at_once_by_its_name():
    """I5."""
    found = problems(
        LISTEN="nowhere",
        PUBLIC_URL="ftp://x",
        MAX_BODY_MB="lots",
        UPSTREAM_IDLE_S="0",
        TYPO="1",
        DATABASE_URL="postgresql://u:canary@h/d",
    )

    names = {line.partition(":")[0] for line in found}
    assert names == {
        "BROKER_LISTEN",
        "BROKER_PUBLIC_URL",
        "BROKER_MAX_BODY_MB",
        "BROKER_UPSTREAM_IDLE_S",
        "BROKER_TYPO",
        "BROKER_SEALING_KEYS",
    }
    assert "canary" not in "".join(found)


def test_the_broker_is_not_its_own_hubspot():
    """P26."""
    found = problems(PUBLIC_URL="https://b.example", HUBSPOT_API_URL="https://b.example/")

    assert found[0].startswith("BROKER_HUBSPOT_API_URL")


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BROKER_SERVICE_HOST", "10.96.12.7"),
        ("BROKER_SERVICE_HOST", "fd00::7"),
        ("BROKER_SERVICE_PORT", "80"),
        ("BROKER_SERVICE_PORT_HTTP", "80"),
        ("BROKER_PORT", "tcp://10.96.12.7:80"),
        ("BROKER_PORT_80_TCP", "tcp://10.96.12.7:80"),
        ("BROKER_PORT_80_TCP_PROTO", "tcp"),
        ("BROKER_PORT_80_TCP_PORT", "80"),
        ("BROKER_PORT_80_TCP_ADDR", "10.96.12.7"),
        ("BROKER_PORT_53_UDP", "udp://10.96.12.7:53"),
        ("BROKER_POSTGRES_SERVICE_HOST", "10.96.12.8"),
        ("BROKER_POSTGRES_PORT", "tcp://10.96.12.8:5432"),
        ("BROKER_POSTGRES_PORT_5432_TCP_ADDR", "10.96.12.8"),
        ("BROKER_NAME", "/web/broker"),
        ("BROKER_ENV_PATH", "/bin"),
    ],
)
def test_what_kubernetes_and_docker_set_for_a_service_of_this_name_is_not_a_setting(name, value):
    """F2."""
    assert Settings.from_env({name: value}) == Settings.from_env({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BROKER_PORT", "8080"),
        ("BROKER_SERVICE_PORT", "tcp"),
        ("BROKER_LISTEN_PORT", "8080"),
        ("BROKER_NAME", "acme"),
        ("BROKER_HOST", "0.0.0.0"),
    ],
)
def test_a_name_that_only_resembles_an_injected_one_is_refused(name, value):
    with pytest.raises(SettingsProblems) as refusal:
        Settings.from_env({name: value})

    assert len(refusal.value.problems) == 1
    assert refusal.value.problems[0].startswith(f"{name}: there is no such setting")


def test_a_misspelt_name_is_refused_with_the_right_one():
    assert problems(PUBLIC_ULR="https://b.example") == [
        "BROKER_PUBLIC_ULR: there is no such setting; did you mean BROKER_PUBLIC_URL?"
    ]


def test_values_are_trimmed_and_their_letter_case_does_not_matter(tmp_path):
    """F3: values of a Secret or a file end with a newline."""
    file = tmp_path / ".env"
    file.write_bytes(b"BROKER_MAX_BODY_MB=7 \r\nBROKER_MIGRATE_ON_START=TRUE\r\n")
    settings = Settings.from_env(
        {
            "BROKER_PUBLIC_URL": " HTTPS://B.Example/Base/\n",
            "BROKER_FML_URL": "HTTP://[FD00::1]:8080\n",
            "BROKER_LISTEN": "0.0.0.0:1\n",
            "BROKER_QUOTA_WAIT_S": "3\r\n",
            "BROKER_WORK_IN_SERVE": "False\n",
            "BROKER_LOG_FORMAT": "JSON\n",
            "BROKER_HUBSPOT_OAUTH_VERSION": "V3\n",
            "BROKER_DATABASE_URL": "postgresql://u@h/d\n",
            "BROKER_SEALING_KEYS": "k1:x\n",
            "BROKER_DATA_DIR": " \n",
        },
        file,
    )

    assert settings.public_url == "https://b.example/Base"
    assert settings.fml_url == "http://[fd00::1]:8080"
    assert settings.listen == Address("0.0.0.0", 1)
    assert settings.quota_wait_s == 3
    assert settings.work_in_serve is False
    assert settings.log_format == "json"
    assert settings.hubspot_oauth_version == "v3"
    assert settings.database_url.get_secret_value() == "postgresql://u@h/d"
    assert settings.sealing_keys.get_secret_value() == "k1:x"
    assert settings.data_dir is None
    assert (settings.max_body_mb, settings.migrate_on_start) == (7, True)


@pytest.mark.parametrize("inside", ["\n", "\r\n", "\t", "\x00", "\x1b"])
def test_a_control_character_inside_a_value_is_refused(inside):
    found = problems(
        PUBLIC_URL=f"https://b.{inside}example",
        DATABASE_URL=f"postgresql://u:canary@h{inside}/d",
        SEALING_KEYS="k1:x",
    )

    assert {line.partition(":")[0] for line in found} == {
        "BROKER_PUBLIC_URL",
        "BROKER_DATABASE_URL",
    }
    assert "canary" not in "".join(found)


def test_quotes_that_an_env_file_left_are_named():
    found = problems(PUBLIC_URL='"https://b.example"', MAX_BODY_MB="'7'")

    assert "BROKER_PUBLIC_URL: has quotes around it; remove them" in found
    assert "BROKER_MAX_BODY_MB: has quotes around it; remove them" in found


def test_a_url_for_migrations_alone_is_refused():
    found = problems(MIGRATION_DATABASE_URL="postgresql://u:canary@h/d")

    assert found == ["BROKER_MIGRATION_DATABASE_URL: needs BROKER_DATABASE_URL, which is not set"]


def test_the_call_log_can_be_switched_off_and_a_pool_has_a_least_size():
    assert Settings.from_env({"BROKER_CALL_LOG_DAYS": "0"}).call_log_days == 0
    assert problems(CALL_LOG_DAYS="-1", DATABASE_POOL_SIZE="3")


def test_a_providers_setting_is_accepted_where_the_provider_is_known():
    environ = {"BROKER_ACME_URL": "https://Acme.example/", "BROKER_ACNE_URL": "https://x"}

    with pytest.raises(SettingsProblems) as refusal:
        Settings.from_env(environ, of_providers={"acme_url"})
    del environ["BROKER_ACNE_URL"]
    settings = Settings.from_env(environ, of_providers={"acme_url", "other_url"})
    with pytest.raises(SettingsProblems) as wrong:
        Settings.from_env({"BROKER_ACME_URL": "acme"}, of_providers={"acme_url"})

    assert refusal.value.problems == [
        "BROKER_ACNE_URL: there is no such setting; did you mean BROKER_ACME_URL?"
    ]
    assert settings.of_provider("acme_url") == "https://acme.example"
    assert settings.of_provider("other_url") is None
    assert wrong.value.problems == ["BROKER_ACME_URL: must be a URL such as https://broker.example"]
