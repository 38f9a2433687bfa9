"""What people read about HubSpot: its account, its permissions, calls to try."""

import re

from broker.providers.wording import Example, Wording

SCOPES = {
    "oauth": "Know which HubSpot account is connected",
    "account-info.security.read": "See the account's security activity",
    "accounting": "See and change invoices",
    "actions": "Run workflow actions",
    "automation": "See and change workflows",
    "automation.sequences.read": "See sequences",
    "automation.sequences.enrollments.write": "Enrol contacts in sequences",
    "business-intelligence": "See marketing analytics",
    "collector.graphql_query.execute": "Query data with GraphQL",
    "collector.graphql_schema.read": "See the GraphQL schema",
    "communication_preferences.read": "See email subscription preferences",
    "communication_preferences.write": "Subscribe contacts to email",
    "communication_preferences.read_write": "See and change email subscription preferences",
    "content": "See and change pages, blogs and email",
    "conversations.read": "See conversations in the inbox",
    "conversations.write": "Answer conversations in the inbox",
    "conversations.custom_channels.read": "See custom channels",
    "conversations.custom_channels.write": "Change custom channels",
    "conversations.visitor_identification.tokens.create": "Identify chat visitors",
    "crm.export": "Export CRM records",
    "crm.import": "Import CRM records",
    "crm.lists.read": "See lists of contacts and companies",
    "crm.lists.write": "Create and change lists",
    "crm.schemas.custom.read": "See the definitions of custom objects",
    "ctas.read": "See calls to action",
    "e-commerce": "See and change products and orders",
    "external_integrations.forms.access": "See and change forms",
    "files": "See and change files",
    "files.ui_hidden.read": "See hidden files",
    "forms": "See and change forms",
    "forms-uploaded-files": "See files uploaded by forms",
    "hubdb": "See and change HubDB tables",
    "integration-sync": "Synchronise records",
    "media_bridge.read": "See media events",
    "media_bridge.write": "Create media events",
    "record_images.signed_urls.read": "See pictures on records",
    "sales-email-read": "Read sales email on contacts",
    "scheduler.meetings.meeting-link.read": "See meeting links",
    "settings.billing.write": "Change the account's billing settings",
    "settings.currencies.read": "See currencies",
    "settings.currencies.write": "Change currencies",
    "settings.users.read": "See the account's users",
    "settings.users.write": "Invite and change the account's users",
    "settings.users.teams.read": "See the account's teams",
    "settings.users.teams.write": "Change the account's teams",
    "social": "See and publish social posts",
    "tax_rates.read": "See tax rates",
    "tickets": "See and change tickets",
    "timeline": "Write events to records' timelines",
    "transactional-email": "Send transactional email",
}
"""HubSpot's scopes that do not say themselves, as of 2026-03."""

RECORDS = """appointments carts commercepayments companies contacts courses custom deals invoices
leads line_items listings orders quotes services subscriptions goals marketing_events owners users
products feedback_submissions"""

ALL_SCOPES = sorted(
    {
        *SCOPES,
        *(f"crm.objects.{each}.{verb}" for each in RECORDS.split() for verb in ("read", "write")),
        *(
            f"crm.schemas.{each}.{verb}"
            for each in RECORDS.split()[:16]
            for verb in ("read", "write")
        ),
    }
)
"""What an app may ask HubSpot for, to choose from; HubSpot adds to it now and then."""

THINGS = {
    "commercepayments": "payments",
    "custom": "custom objects",
    "line_items": "line items",
    "marketing_events": "marketing events",
    "feedback_submissions": "feedback submissions",
}


def describe_scope(scope: str) -> str:
    """A scope in plain words, or the scope itself where none are known."""
    if SCOPES.get(scope):
        return SCOPES[scope]
    found = re.fullmatch(r"crm\.(objects|schemas)\.([a-z_]+)\.(read|write)", scope)
    if found is None:
        return scope
    kind, things, verb = found.groups()
    things = THINGS.get(things, things)
    if kind == "schemas":
        return f"{'See' if verb == 'read' else 'Change'} how {things} are set up"
    return f"{'See' if verb == 'read' else 'Create and change'} {things}"


WORDING = Wording(
    account="HubSpot account",
    reasons={
        "BAD_REFRESH_TOKEN": "The app was uninstalled from the account, or its access was revoked "
        "there.",
        "BAD_HUB": "HubSpot no longer has the account.",
    },
    admin="a super admin of your HubSpot account",
    consent="Next, HubSpot asks which account to connect and whether you agree. You need to be a "
    "super admin there, or have permission to install apps. If HubSpot says you don't have "
    "permission, close its page and ask a super admin of your HubSpot account to sign in to "
    "{product} and connect.",
    optional="only if your HubSpot plan has it",
    ending="We never see your HubSpot password, and you can disconnect at any time under "
    "“Connected apps” in HubSpot.",
    colour="#b3401f",
    letters="H",
    scopes=tuple(ALL_SCOPES),
    usual_scopes=("oauth", "crm.objects.contacts.read", "crm.objects.companies.read"),
    describe_scope=describe_scope,
    credentials_from="your app's Auth tab in HubSpot",
    examples=(
        Example("GET", "/crm/v3/objects/contacts?limit=5"),
        Example(
            "POST", "/crm/v3/objects/contacts", '{"properties": {"email": "jane@acme.example"}}'
        ),
        Example("POST", "/crm/v3/objects/contacts/search", '{"query": "jane", "limit": 5}'),
        Example("GET", "/crm/v3/objects/companies?limit=5"),
        Example("GET", "/account-info/v3/details"),
    ),
)
