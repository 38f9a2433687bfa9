"""What a dry run answered, in words."""

from decimal import Decimal

from broker.recipes.console.previews import Line, preview_lines


def test_a_preview_has_words_where_the_answer_has_values_of_a_program():
    would = {
        "made": True,
        "hidden": 1,
        "nothing": None,
        "Amount": Decimal("59.80"),
        "ItemRef": {"value": "2"},
        "Line": [{"UnitPrice": Decimal("0.1")}],
        "wouldWrite": {"job_title": {"from": None, "to": "Admiral"}},
        "notes": ["one", "two"],
    }

    assert preview_lines(would, {"hidden": "", "made": "A customer would be created"}) == [
        Line("A customer would be created", "yes"),
        Line("Amount", "59.80"),
        Line("Item ref", "2"),
        Line("Line 1", lines=[Line("Unit price", "0.1")]),
        Line("Would write", lines=[Line("Job title", "(empty) becomes Admiral")]),
        Line("Notes", "one; two"),
    ]
