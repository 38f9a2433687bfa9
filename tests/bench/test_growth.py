"""What the measurement of growth asks of Postgres is what the broker asks."""

import re
from uuid import uuid4

from tests.bench.growth import Size, Subject, statements


def test_each_timed_statement_has_as_many_values_as_it_takes():
    subject = Subject("", None, None, uuid4(), uuid4(), "user-1", Size(1, 1, 1, 1, 1))

    for name, (query, values) in statements(subject).items():
        taken = max((int(number) for number in re.findall(r"\$(\d+)", query)), default=0)
        assert taken == len(values), name
