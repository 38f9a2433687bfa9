"""The comparison of a contact and a lead: it settles, and answers no write of its own."""

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.recipes.leads.fields import MappedField, as_json, as_text, mapped_fields
from broker.recipes.leads.models import LeadsSettings, Side, Wins
from broker.recipes.leads.pairs.merging import Marks, filled, merge

FIELDS = (
    MappedField("email", "Email", Wins.NEWEST, "email"),
    MappedField("phone", "Phone", Wins.HUBSPOT, "phone"),
    MappedField("lastname", "LastName", Wins.SALESFORCE),
    MappedField("size", "NumberOfEmployees", Wins.NEWEST, "int"),
    MappedField("hs_optout", "HasOptedOutOfEmail", Wins.NEWEST, "boolean"),
)
STAGES = MappedField(
    "lifecyclestage",
    "Status",
    Wins.NEWEST,
    "picklist",
    (("lead", "Open"), ("marketingqualifiedlead", "Open"), ("customer", "Closed")),
    forward=True,
)
NAMES = {each.hubspot: each for each in FIELDS}
MARKS = Marks(UUID(int=1), 101, "7")

TEXTS = {
    "email": ["", "a@x.example", "A@X.example ", "b@x.example"],
    "phone": ["", "+1 555 0100", "+15550100", "+15550101"],
    "string": ["", "Lee", " Lee", "Kay", "LEE"],
    "int": ["", "1", "1.0", "20"],
    "boolean": ["", "true", "false"],
}
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["hubspot", "salesforce", "run", "lost", "half"]),
        st.sampled_from(FIELDS),
        st.integers(0, 4),
    ),
    max_size=40,
)


class Pair:
    """Two records and what is stored of them; a clock that both sides share."""

    def __init__(self):
        self.hubspot = {each.hubspot: "" for each in FIELDS}
        self.salesforce = {each.salesforce: "" for each in FIELDS}
        self.seen, self.writes, self.edits = None, 0, 0
        self.at = {}

    def edit(self, side, field, number):
        values = TEXTS[field.kind]
        value = values[number % len(values)]
        self.edits += 1
        if side == "hubspot":
            self.hubspot[field.hubspot] = value
        else:  # as Salesforce does
            self.salesforce[field.salesforce] = value.strip()
        self.at[field.hubspot] = Side(side)

    def run(self, applied=(Side.SALESFORCE, Side.HUBSPOT), stored=True):
        ours, theirs = dict(self.hubspot), dict(self.salesforce)
        if self.seen is None:
            changed = filled(FIELDS, ours, theirs)
        else:
            changed = (
                MARKS.changed_at_hubspot(FIELDS, ours, self.seen),
                MARKS.changed_at_salesforce(FIELDS, theirs, self.seen),
            )
        found = merge(
            FIELDS,
            ours,
            theirs,
            changed,
            newer=lambda each: self.at.get(each.hubspot, Side.HUBSPOT),
        )
        if found.changes:  # stored before anything is written
            self.seen = MARKS.intended(FIELDS, ours, theirs, found.changes)
        for change in found.changes:
            side = ours if change.side is Side.HUBSPOT else theirs
            name = change.field.hubspot if side is ours else change.field.salesforce
            side[name] = change.after
            if change.side in applied:
                self.writes += 1
                real = self.hubspot if side is ours else self.salesforce
                real[name] = change.after if side is ours else change.after.strip()
        if stored:
            self.seen = MARKS.all(FIELDS, ours, theirs)
        return found.changes


@given(EDITS)
@settings(max_examples=300, deadline=None)
def test_whatever_is_edited_and_lost_both_sides_end_equal_with_at_most_two_writes_an_edit(edits):
    pair = Pair()
    for what, field, number in edits:
        if what == "run":
            pair.run()
        elif what == "lost":  # written, and the process stops before it stores what it saw
            pair.run(stored=False)
        elif what == "half":  # stopped between the two sides
            pair.run(applied=(Side.SALESFORCE,), stored=False)
        else:
            pair.edit(what, field, number)
    pair.run()
    settled = pair.run()

    assert settled == ()
    assert all(
        each.equal(pair.hubspot[each.hubspot], pair.salesforce[each.salesforce]) for each in FIELDS
    )
    assert pair.writes <= 2 * pair.edits


@given(EDITS)
@settings(max_examples=200, deadline=None)
def test_what_one_side_alone_edits_is_never_lost(edits):
    pair = Pair()
    pair.run()
    last = {}
    for what, field, number in edits:
        if what in {"run", "lost", "half"}:
            pair.run(stored=what == "run")
        else:
            pair.edit("salesforce", field, number)
            last[field] = pair.salesforce[field.salesforce]
    pair.run()

    assert all(
        each.normal(pair.hubspot[each.hubspot]) == each.normal(value)
        for each, value in last.items()
    )


def test_a_stage_that_means_the_status_already_stays_and_none_goes_to_an_earlier_one():
    """3.10: several stages mean one status."""
    both = frozenset({"lifecyclestage"}), frozenset({"Status"})
    theirs = frozenset[str](), frozenset({"Status"})
    ours = frozenset({"lifecyclestage"}), frozenset[str]()

    def planned(stage, status, changed):
        return merge([STAGES], {"lifecyclestage": stage}, {"Status": status}, changed)

    assert planned("marketingqualifiedlead", "Open", both).changes == ()
    (forward,) = planned("marketingqualifiedlead", "Closed", theirs).changes
    back = planned("customer", "Open", theirs)
    unknown = planned("evangelist", "Open", ours)

    assert (forward.side, forward.after) == (Side.HUBSPOT, "customer")
    assert back.changes == unknown.changes == ()
    assert "earlier stage" in back.notes[0]
    assert "map no value" in unknown.notes[0]


def test_one_way_leaves_the_other_sides_changes_and_a_required_field_is_not_emptied():
    changed = frozenset({"lastname"}), frozenset({"LastName", "Email"})
    ours, theirs = {"lastname": "", "email": "a@x.example"}, {"LastName": "Lee", "Email": ""}
    one_way = merge(
        FIELDS, ours, theirs, changed, direction="to-salesforce", required=frozenset({"LastName"})
    )

    assert one_way.changes == ()
    assert one_way.notes == ("LastName was not emptied: Salesforce requires it.",)


def test_values_take_the_form_of_their_type_and_marks_hold_no_value():
    settings_ = LeadsSettings(salesforceApp="crm", owners={"1": "005000000000001AAA"})
    fields = mapped_fields(settings_, {"OwnerId": "reference", "FirstName": "string"})
    owner = fields[-1]
    marks = MARKS.all(FIELDS, {"email": "a@x.example"}, {})

    assert [each.salesforce for each in fields] == ["FirstName", "OwnerId"]
    assert owner.equal("1", "005000000000001")
    assert owner.to_hubspot("005000000000001", "") == "1"
    assert [as_json("int", "3"), as_json("boolean", "true"), as_json("string", " ")] == [
        3,
        True,
        None,
    ]
    assert [as_text(True), as_text(None), as_text(3)] == ["true", "", "3"]
    assert "a@x" not in repr(marks)
