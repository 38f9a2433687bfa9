"""Refusals in words, whoever's account it is."""

import re

import pytest

from broker.web.core.wording import REFUSALS, explain


@pytest.mark.parametrize("provider", ["hubspot", "xero", None, "nobody"])
@pytest.mark.parametrize("code", [*REFUSALS, "unknown"])
def test_a_refusal_is_in_sentences(code, provider):
    """A provider that is not known has no name to begin the sentence with, or to stand in it."""
    explained = explain(code, provider)

    for text in (explained.heading, explained.explanation, explained.next_step):
        assert text[0].isupper(), text
        assert not re.search(r"[a-z,] Your ", text), text
