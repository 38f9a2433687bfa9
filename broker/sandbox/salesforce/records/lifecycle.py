"""What people do to records in Salesforce's own pages: convert, merge, undelete."""

from datetime import UTC, date, datetime

from broker.sandbox.salesforce.org import Org, Record

PERSON = ("FirstName", "LastName", "Title", "Email", "Phone", "MobilePhone", "LeadSource")


def convert(org: Org, lead: Record, by: str, *, opportunity: bool = False) -> None:
    """Convert a lead to an account, a contact and, on request, an opportunity.

    A lead without a company becomes a person account. Raises ValueError when it is converted.
    """
    if lead["IsConverted"] or lead["IsDeleted"]:
        raise ValueError("the lead is converted or deleted already")
    person = lead["Company"] is None
    account = org.insert(
        "Account",
        {"Name": lead["Company"] or lead["Name"], "OwnerId": lead["OwnerId"],
         "IsPersonAccount": person},
        by,
    )  # fmt: skip
    copied = {name: lead[name] for name in PERSON}
    linked = {"AccountId": account["Id"], "OwnerId": lead["OwnerId"], "IsPersonAccount": person}
    contact = org.insert("Contact", {**copied, **linked}, by)
    if person:
        account["PersonContactId"] = contact["Id"]
    if opportunity:
        deal = {"Name": f"{account['Name']}-", "StageName": "Prospecting"}
        deal |= {"AccountId": account["Id"], "OwnerId": lead["OwnerId"]}
        made = org.insert("Opportunity", deal, by)
        made["CloseDate"] = _today(org)
        lead["ConvertedOpportunityId"] = made["Id"]
    statuses = org.objects["lead"].fields["status"].values
    lead.update(
        IsConverted=True,
        ConvertedDate=_today(org),
        ConvertedAccountId=account["Id"],
        ConvertedContactId=contact["Id"],
        Status=next((each.value for each in statuses if each.converted), lead["Status"]),
    )
    org.touch(org.objects["lead"], lead, by)


def merge(org: Org, sobject: str, winner: Record, loser: Record, by: str) -> None:
    """Merge two records: the loser is deleted and points at the winner, which takes over what it
    lacks. Raises ValueError when they are one, or not both live.
    """
    if winner is loser or winner["IsDeleted"] or loser["IsDeleted"]:
        raise ValueError("two live records are needed")
    kind = org.objects[sobject.lower()]
    loser["IsDeleted"] = True
    loser["MasterRecordId"] = winner["Id"]
    for field in kind.fields.values():
        if field.updateable and not field.unique and winner[field.name] is None:
            winner[field.name] = loser[field.name]
    for record in (winner, loser):
        org.touch(kind, record, by)
    org.deleted_at[loser["Id"]] = org.stamp()


def undelete(org: Org, sobject: str, record: Record, by: str) -> None:
    """Restore a record from the recycle bin."""
    record["IsDeleted"] = False
    org.deleted_at.pop(record["Id"], None)
    org.touch(org.objects[sobject.lower()], record, by)


def purge(org: Org, sobject: str, record: Record) -> None:
    """Empty a record from the recycle bin: nothing finds it any more."""
    del org.tables[org.objects[sobject.lower()].name][record["Id"]]


def _today(org: Org) -> date:
    return datetime.fromtimestamp(org.now(), UTC).date()
