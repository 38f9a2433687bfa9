"""Believable companies, contacts and deals, the same at every start."""

import random
from itertools import product

from broker.sandbox.hubspot.crm.operations import Crm
from broker.sandbox.hubspot.portal import Portal
from broker.sandbox.hubspot.world import Sandbox

FIRST = ("Amara", "Bruno", "Chen", "Dalia", "Erik", "Farah", "Goran", "Hanna", "Ines", "Kofi")
LAST = ("Okafor", "Silva", "Wei", "Haddad", "Larsen", "Petrov", "Vogel", "Costa", "Rojas")
START = ("Blue", "River", "North", "Silver", "Green", "Iron", "Bright", "Stone", "Cedar", "Harbor")
END = ("Logistics", "Foods", "Analytics", "Robotics", "Textiles", "Energy", "Health", "Media")
PLACES = (
    ("Berlin", "Germany"),
    ("Lisbon", "Portugal"),
    ("Austin", "United States"),
    ("Leeds", "United Kingdom"),
    ("Lyon", "France"),
)
INDUSTRIES = ("COMPUTER_SOFTWARE", "RETAIL", "INSURANCE", "INTERNET", "BANKING")
STAGES = ("appointmentscheduled", "qualifiedtobuy", "contractsent", "closedwon")
TITLES = ("Head of Operations", "Founder", "Finance Manager", "Sales Director")


def plant(sandbox: Sandbox, portal: Portal, companies: int = 25) -> None:
    """Fill a portal: three contacts and a deal for each company, all associated."""
    chance = random.Random(portal.hub_id)  # noqa: S311  # believable, not secret
    crm = sandbox.crm(portal)
    names = [f"{start} {end}" for start, end in product(START, END)]
    people = [(first, last) for first, last in product(FIRST, LAST)]
    chance.shuffle(names)
    chance.shuffle(people)
    for number in range(companies):
        name = names[number % len(names)]
        staff = [people[(3 * number + index) % len(people)] for index in range(3)]
        _company(crm, chance, name, f"{name.lower().replace(' ', '-')}-{number}.example", staff)


def _company(
    crm: Crm,
    chance: random.Random,
    name: str,
    domain: str,
    staff: list[tuple[str, str]],
) -> None:
    kinds = {name: crm.portal.type(name) for name in ("companies", "contacts", "deals")}
    companies, contacts, deals = (
        kinds["companies"],
        kinds["contacts"],
        kinds["deals"],
    )
    assert companies and contacts and deals  # noqa: S101, PT018  # built-in types
    city, country = chance.choice(PLACES)
    company = crm.create(
        companies,
        {
            "properties": {
                "name": f"{name} Ltd",
                "domain": domain,
                "city": city,
                "country": country,
                "industry": chance.choice(INDUSTRIES),
                "numberofemployees": str(chance.randrange(5, 900)),
                "lifecyclestage": chance.choice(("lead", "salesqualifiedlead", "customer")),
            }
        },
    )
    to_company = [{"to": {"id": company.id}, "types": [{"associationTypeId": 279}]}]
    for first, last in staff:
        crm.create(
            contacts,
            {
                "properties": {
                    "email": f"{first}.{last}@{domain}".lower(),
                    "firstname": first,
                    "lastname": last,
                    "jobtitle": chance.choice(TITLES),
                    "company": f"{name} Ltd",
                },
                "associations": to_company,
            },
        )
    crm.create(
        deals,
        {
            "properties": {
                "dealname": f"{name} - annual plan",
                "amount": str(chance.randrange(10, 900) * 100),
                "dealstage": chance.choice(STAGES),
            },
            "associations": [{"to": {"id": company.id}, "types": [{"associationTypeId": 341}]}],
        },
    )
