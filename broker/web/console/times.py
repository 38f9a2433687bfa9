"""Times as operators read them: exact in UTC, or how long ago."""

from datetime import UTC, datetime

from markupsafe import Markup

UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
"""Seconds of a unit, and its sign."""


def format_time(at: datetime | None) -> str:
    """A time in UTC; empty for none."""
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def format_ago(at: datetime | None) -> Markup:
    """How long ago a time was, or in how long it will be, with the time itself for who points at
    it; empty for none. `console.js` keeps the words true while the page is open.
    """
    if at is None:
        return Markup()
    return Markup('<time datetime="{}" title="{} UTC" data-ago>{}</time>').format(
        at.astimezone(UTC).isoformat(timespec="seconds"),
        format_time(at),
        span_in_words((datetime.now(UTC) - at).total_seconds()),
    )


def span_in_words(seconds: float) -> str:
    """So many seconds ago (or ahead, where negative), in the largest unit that fills."""
    whole = round(abs(seconds))
    if whole < 5:
        return "just now" if seconds >= 0 else "now"
    size, unit = next(each for each in UNITS if whole >= each[0])
    words = f"{whole // size} {unit}"
    return f"{words} ago" if seconds >= 0 else f"in {words}"
