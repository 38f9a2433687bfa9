"""The bodies of setup and check."""

from pydantic import BaseModel

from broker.web.core.requests import RequestModel, UserRef


class ForUser(RequestModel):
    """The user whose HubSpot account is meant."""

    userForeignIdentifier: UserRef


class SetupResponse(BaseModel):
    """The HubSpot properties that were created, and those that were there."""

    created: list[str]
    existing: list[str]
