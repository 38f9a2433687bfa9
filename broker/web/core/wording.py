"""What errors and scopes mean to a person who is not a programmer, and what to do next."""

import re

AGAIN = "Go back to the product that you wanted to connect, and start again there."

REFUSALS = {
    "consent-denied": (
        "You did not allow the connection at HubSpot.",
        "If that was a mistake, open the link again.",
    ),
    "invalid-request": ("This link is incomplete, or it is not one of ours.", AGAIN),
    "link-used": (
        "Each link works once, and this one was used.",
        "If HubSpot is not connected yet, start again from the product.",
    ),
    "link-expired": ("This link is too old.", AGAIN),
    "scopes-missing": (
        "HubSpot granted fewer permissions than the product needs.",
        "Ask a super admin of your HubSpot account to connect it.",
    ),
    "exchange-failed": ("HubSpot no longer accepts this sign-in.", AGAIN),
    "portal-mismatch": (
        "You chose a different HubSpot account from the one that is connected now.",
        "Your current account stays connected. Go back to the product to confirm the change.",
    ),
    "credentials-refused": (
        "HubSpot rejects the product's client id or secret. This is not your fault.",
        "Tell the product's support. Once it is fixed, open the same link again.",
    ),
    "hubspot-unavailable": (
        "HubSpot could not be reached just now.",
        "Open the same link again in a minute.",
    ),
    "hubspot-timeout": (
        "HubSpot did not respond in time.",
        "Open the same link again in a minute.",
    ),
    "other-browser": (
        "You started connecting in a different browser.",
        "Finish it there, or go back to the product and start again in this one.",
    ),
    "install-not-stored": (
        "Something went wrong on our side while we stored the connection.",
        AGAIN,
    ),
    "origin-refused": (
        "The page that opened this window is not allowed to connect HubSpot here.",
        "Nothing was connected. Tell the product's support.",
    ),
    "busy": ("We are overloaded right now.", "Open the same link again in a minute."),
    "app-not-found": ("There is nothing at this address.", AGAIN),
    "not-found": ("There is nothing at this address.", AGAIN),
}
"""What an error means to the person who sees it, and what to do next."""

HEADINGS = {
    "consent-denied": "You did not allow the connection",
    "invalid-request": "This link does not work",
    "link-used": "This link was already used",
    "link-expired": "This link has expired",
    "scopes-missing": "More permissions are needed",
    "exchange-failed": "This sign-in has expired",
    "portal-mismatch": "One more step",
    "credentials-refused": "The product needs to fix its HubSpot app",
    "hubspot-unavailable": "HubSpot could not be reached",
    "hubspot-timeout": "HubSpot did not respond",
    "other-browser": "Finish in the other browser",
    "install-not-stored": "Please start again",
    "origin-refused": "This page is not registered",
    "busy": "Please try again in a minute",
    "app-not-found": "Page not found",
    "not-found": "Page not found",
}
"""What stands above it. Whether the user is connected, by an earlier link, is not known there."""

OURS_HEADING = "Something went wrong"

OURS = ("Something went wrong on our side.", "Open the link again in a minute.")

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
