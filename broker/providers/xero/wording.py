"""What people read about Xero."""

from broker.providers.wording import Example, Wording

SCOPES = {
    "offline_access": "Stay connected while you are away",
    "openid": "Know who signs in",
    "profile": "See your name",
    "email": "See your e-mail address",
    "accounting.contacts": "See and change contacts",
    "accounting.contacts.read": "See contacts",
    "accounting.settings": "See and change settings, accounts and tax rates",
    "accounting.settings.read": "See settings, accounts and tax rates",
    "accounting.invoices": "See and change invoices",
    "accounting.invoices.read": "See invoices",
    "accounting.payments": "See and change payments",
    "accounting.payments.read": "See payments",
    "accounting.transactions": "See and change invoices, payments and bank transactions",
}
"""Xero's scopes (https://developer.xero.com/documentation/guides/oauth2/scopes/)."""

WORDING = Wording(
    account="Xero organisation",
    admin="an adviser or a standard user of your Xero organisation",
    consent="Next, Xero asks you to sign in and which organisations to connect.",
    ending="We never see your Xero password, and you can disconnect at any time under “Connected "
    "apps” in Xero.",
    colour="#12617d",
    letters="X",
    scopes=tuple(SCOPES),
    usual_scopes=("offline_access", "accounting.contacts", "accounting.invoices"),
    describe_scope=lambda scope: SCOPES.get(scope, scope),
    credentials_from="the configuration of your app at developer.xero.com",
    examples=(
        Example("GET", "/api.xro/2.0/Organisation"),
        Example("GET", "/api.xro/2.0/Contacts?page=1"),
        Example("GET", "/api.xro/2.0/Invoices?page=1"),
    ),
)
