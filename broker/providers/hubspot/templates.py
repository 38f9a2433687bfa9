"""A call's path without what it names: fit for a log, for it holds no id, address or token.

HubSpot's paths begin with words (`/crm/v3/objects/contacts`) and go on with names and words in
turn. Of the first four parts, words, versions and type numbers stay; later ones stay when they are
words of HubSpot's own; everything else is `{id}`.
"""

import re
from functools import lru_cache

from broker.providers.calls.destination import decoded

WORD = re.compile(r"[a-z]{2,24}(?:[-_][a-z]{1,24}){0,4}")
VERSION = re.compile(r"v\d{1,2}|\d{4}-\d{2}(-beta)?|[02]-\d{1,9}")

KNOWN = frozenset(
    re.findall(
        r"\S+",
        """
    archive associate associations audit-logs batch cancel complete contacts companies create deals
    default definitions delete details engagements events export form-fields gdpr-delete groups
    history imports info input labels limits line_items lists memberships merge messages objects
    options owners pipelines products profile properties publish purge query quotes read receipts
    recent revisions schemas search sources stages status submissions subscriptions tasks tickets
    types update upsert users validate webhooks write
    """,
    )
)
"""Words that HubSpot's paths have after a name (its published OpenAPI documents)."""

DEPTH = 12

SECRET_AFTER = ("oauth", "access-tokens", "refresh-tokens")


NUMBER = re.compile(r"(?<=/)[0-9]+(?![^/])")


def template_of(path: str) -> str:
    """The template of a raw path (a target less its query)."""
    # A number is never a word, so that paths with other ids are one path to the cache.
    return _template_of(NUMBER.sub("0", path))


@lru_cache(maxsize=4096)
def _template_of(path: str) -> str:
    parts = [part.partition(";")[0] for part in decoded(path).split("/") if part]
    shown, hidden = [], False
    for place, part in enumerate(parts[:DEPTH]):
        stays = (
            VERSION.fullmatch(part) or WORD.fullmatch(part)
            if place < 4 and not hidden
            else part in KNOWN
        )
        shown.append(part if stays else "{id}")
        hidden = hidden or part in SECRET_AFTER
    if len(parts) > DEPTH:
        shown.append("...")
    return "/" + "/".join(shown)
