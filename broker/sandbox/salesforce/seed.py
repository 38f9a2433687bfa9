"""Believable leads, the same at every start."""

from broker.sandbox.salesforce.org import Org

NAMES = ("Ada Byron", "Grace Hopper", "Jean Bartik", "Kay McNulty", "Mary Keller", "Edith Clarke")


def plant(org: Org, number: int = 25) -> None:
    """Add leads as an import does."""
    for each in range(number):
        first, _, last = NAMES[each % len(NAMES)].partition(" ")
        email = f"{first}.{last}.{each}@example.com".lower()
        values = {"FirstName": first, "LastName": last, "Email": email, "LeadSource": "Web"}
        company = {"Company": f"Example {each // 10 + 1} Ltd", "OwnerId": org.default_lead_owner}
        org.insert("Lead", {**values, **company}, org.default_lead_owner)
