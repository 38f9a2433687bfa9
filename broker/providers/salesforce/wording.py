"""What people read about Salesforce."""

from broker.providers.wording import Example, Wording

SCOPES = {
    "api": "See and change your data through Salesforce's API",
    "refresh_token": "Stay connected while you are away",
    "openid": "Know who signs in",
    "profile": "See your name",
    "email": "See your e-mail address",
    "id": "See who you are",
    "web": "Open Salesforce's pages as you",
    "full": "Do everything that you can do",
}
"""Scopes of Salesforce's OAuth (Salesforce Help, "OAuth Tokens and Scopes")."""

WORDING = Wording(
    account="Salesforce organisation",
    reasons={
        "inactive-user": "The Salesforce user who connected is inactive.",
        "inactive-organization": "The Salesforce organisation is inactive.",
    },
    admin="an administrator of your Salesforce organisation",
    consent="Next, Salesforce asks you to sign in and whether you agree. If it says that the app "
    "is blocked, an administrator has to install it first.",
    ending="We never see your Salesforce password, and you can disconnect at any time in "
    "your personal settings.",
    colour="#0b5a8f",
    letters="SF",
    scopes=tuple(SCOPES),
    usual_scopes=("api", "refresh_token"),
    describe_scope=lambda scope: SCOPES.get(scope, scope),
    credentials_from="the External Client App in Salesforce's Setup",
    examples=(
        Example("GET", "/services/data/v66.0/query?q=SELECT+Id,Name+FROM+Lead+LIMIT+5"),
        Example("GET", "/services/data/v66.0/sobjects/Lead/describe"),
        Example("GET", "/services/data/v66.0/limits"),
    ),
)
