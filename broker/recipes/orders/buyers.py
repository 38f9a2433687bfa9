"""The contact of an order's buyer: one for an e-mail address, else one for a shop's customer.

An address may be any of a contact's addresses, so it is looked up, and HubSpot names the contact
that has one that is taken: two runs at once end with one contact.
"""

from broker.crm.object_types import CONTACTS
from broker.crm.records import RecordWriter
from broker.domain.runs import RetryLater
from broker.recipes.orders import writes
from broker.recipes.orders.models import CUSTOMER_KEY, OrdersSettings
from broker.recipes.orders.port import Buyer

OWN_ID = "hs_object_id"


async def write_contact(
    writer: RecordWriter, shop: str, buyer: Buyer, settings: OrdersSettings
) -> str | None:
    """Write the buyer's contact; its id, None for a buyer without address and customer id. What the
    contact shows already is not written. Raises as a writer does.
    """
    fields = writes.contact_properties(buyer, settings)
    key = f"{shop}:{buyer.customer_id}" if buyer.customer_id else None
    if not buyer.email:
        if key is None:
            return None
        return (await writer.upsert(CONTACTS, CUSTOMER_KEY, key, fields)).id
    names = [OWN_ID, "email", CUSTOMER_KEY, *fields]
    found = await writer.read(CONTACTS, buyer.email, names, "email")
    if key is not None and (found is None or not found.get(CUSTOMER_KEY)):
        same = await writer.read(CONTACTS, key, names, CUSTOMER_KEY)
        if same is None:
            fields[CUSTOMER_KEY] = key
        elif found is None and not same.get("email"):  # the customer has an address by now
            found, fields["email"] = same, buyer.email
    if found is None:
        created = await writer.create(CONTACTS, {**fields, "email": buyer.email})
        if created.created:
            return created.id
        found = await writer.read(CONTACTS, created.id, names) or {OWN_ID: created.id}
        if found.get(CUSTOMER_KEY):
            fields.pop(CUSTOMER_KEY, None)
    contact_id = str(found[OWN_ID])
    changes = {name: value for name, value in fields.items() if found.get(name) != value}
    if changes and not await writer.update(CONTACTS, contact_id, changes):
        raise RetryLater(1, "the contact was removed meanwhile")
    return contact_id
