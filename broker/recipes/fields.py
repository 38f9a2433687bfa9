"""Fields that settings and starts of several recipes have."""

from typing import Annotated

from broker.web.core.patterns import Matches
from broker.web.core.requests import NumberOrText

PropertyName = Annotated[
    str,
    Matches(
        r"[a-z][a-z0-9_]{0,99}",
        "must be a property's internal name: lower-case letters, digits and underscores, "
        "beginning with a letter",
    ),
]

HubSpotId = Annotated[
    NumberOrText, Matches(r"[0-9]{1,20}", "must be a HubSpot record id: 1 to 20 digits")
]
