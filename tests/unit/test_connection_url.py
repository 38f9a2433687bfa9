"""The database URL: each of libpq's parameters is taken, or refused by its name."""

import socket

import pytest

from broker.stores.core.postgres.connection_url import DatabaseUrl, keep_alive

BASE = "postgresql://u:canary@h/d"


def refusal(query, base=BASE):
    with pytest.raises(ValueError) as refused:
        DatabaseUrl.parse(f"{base}?{query}")
    assert "canary" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=disable",
        "sslmode=prefer&channel_binding=prefer",
        "sslmode=require",
        "sslmode=verify-full&sslrootcert=system&channel_binding=require",
        "gssencmode=disable",
        "target_session_attrs=read-write",
        "keepalives=1&keepalives_idle=10&keepalives_interval=5&keepalives_count=3",
        "tcp_user_timeout=20000",
        "client_encoding=UTF8",
        "load_balance_hosts=disable",
        "host=/run/postgresql&port=5433",
    ],
)
def test_a_parameter_that_can_be_kept_is_taken_and_never_sent_to_the_server(query):
    """F8: a name that the server does not know ends the connection."""
    url = DatabaseUrl.parse(f"{BASE}?{query}")

    assert url.arguments("broker")["server_settings"] == {"application_name": "broker"}


def test_the_connection_strings_of_hosted_postgres_are_taken():
    neon = f"{BASE}?sslmode=verify-full&sslrootcert=system&channel_binding=require"
    url = DatabaseUrl.parse(neon)

    assert url.tls is not None
    assert url.tls.check_hostname
    assert "ssl" not in url.dsn
    assert "sslmode=require" in DatabaseUrl.parse(f"{BASE}?sslmode=require").dsn


def test_what_concerns_the_session_is_handed_to_the_server():
    url = DatabaseUrl.parse(
        f"{BASE}?application_name=crm&options=-csearch_path%3Dapp%20-cjit%3Doff&connect_timeout=3"
    )

    found = url.arguments("broker")
    assert found["timeout"] == 3
    assert found["server_settings"] == {
        "application_name": "crm",
        "options": "-csearch_path=app -cjit=off",
    }


def test_several_hosts_a_socket_and_escaped_passwords_reach_the_driver_as_they_are():
    hosts = DatabaseUrl.parse(
        "postgresql://u:p%40%2F%23@a:5432,b:5433/d?target_session_attrs=primary"
    )

    assert hosts.dsn == "postgresql://u:p%40%2F%23@a:5432,b:5433/d?target_session_attrs=primary"
    assert DatabaseUrl.parse("postgres://@/d?host=/tmp/x&password=a+b").dsn == (
        "postgres://@/d?host=%2Ftmp%2Fx&password=a%2Bb"
    )


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("channel_binding=require&sslmode=require", "sslmode=verify-full&sslrootcert=system"),
        ("sslmode=on", "sslmode=on is not supported"),
        ("sslrootcert=system&sslmode=require", "needs sslmode=verify-full"),
        ("sslrootcert=/no/such/file", "sslrootcert names a file that cannot be read"),
        ("target_session_attrs=standby", "target_session_attrs=standby is not supported"),
        ("connect_timeout=soon", "connect_timeout must be a whole number"),
        ("gssencmode=require", "gssencmode=require is not supported"),
        ("client_encoding=LATIN1", "client_encoding=LATIN1 is not supported"),
        ("hostaddr=10.0.0.1", "'hostaddr' is not supported"),
        ("schema=app", "options=-csearch_path"),
        ("pgbouncer=true", "'pgbouncer' is not supported"),
        ("connection_limit=5", "BROKER_DATABASE_POOL_SIZE"),
        ("nonsense=1", "'nonsense' is not supported"),
        ("sslmode", "'sslmode' has no value"),
    ],
)
def test_a_parameter_that_cannot_be_kept_is_refused_by_its_name(query, words):
    assert words in refusal(query)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:can@ary@h/d",
        "postgresql://u:can/ary@h/d",
        "postgresql://u:can#ary@h/d",
        "postgresql://u:can]ary[@h/d",
    ],
)
def test_an_unescaped_character_of_a_password_is_explained(url):
    with pytest.raises(ValueError, match="must be escaped") as refused:
        DatabaseUrl.parse(url)

    assert "ary" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["postgresql+asyncpg://u@h/d", "jdbc:postgresql://h/d", "host=h dbname=d", "mysql://h/d"],
)
def test_what_is_not_a_postgres_url_is_refused(text):
    with pytest.raises(ValueError, match="postgresql://user:password@host"):
        DatabaseUrl.parse(text)


def test_a_url_does_not_show_its_password():
    assert "canary" not in repr(DatabaseUrl.parse(BASE))


def test_a_connection_has_keepalive(unused_tcp_port):
    """F11: a peer behind a firewall that forgot the connection is noticed."""
    with (
        socket.create_server(("127.0.0.1", unused_tcp_port)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        keep_alive(client, DatabaseUrl.parse(BASE).sockets)

        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
