"""Parameters added to URLs of others."""

import pytest

from broker.domain.urls import path_of, with_parameters


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://p.example/", "https://p.example/?status=ok"),
        (
            "https://p.example/?status=open&tab=crm%20sync",
            "https://p.example/?tab=crm%20sync&status=ok",
        ),
        ("https://p.example/?a=1&a=2&b", "https://p.example/?a=1&a=2&b&status=ok"),
        ("https://p.example/?a=%2f%2B+", "https://p.example/?a=%2f%2B+&status=ok"),
        ("https://p.example/?stat%75s=x", "https://p.example/?status=ok"),
        ("https://p.example?", "https://p.example?status=ok"),
        ("https://p.example/#top", "https://p.example/?status=ok#top"),
    ],
)
def test_a_return_url_comes_back_as_it_was_with_each_parameter_of_ours_once(url, expected):
    """F15."""
    assert with_parameters(url, {"status": "ok"}) == expected


def test_values_are_encoded_and_a_fragment_replaces_the_own():
    url = with_parameters("https://p.example/#old", {"user": "a b&c=é"}, "confirm=x")

    assert url == "https://p.example/?user=a%20b%26c%3D%C3%A9#confirm=x"


def test_the_path_of_a_url_is_what_follows_its_host():
    assert path_of("https://a.example/b?c") == "/b?c"
    assert path_of("https://a.example") == "/"
    assert path_of("/b?c") == "/b?c"
