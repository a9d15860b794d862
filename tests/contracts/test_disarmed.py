"""`make mutate` can still remove each protection: the code that it replaces is there."""

import pytest

from tests.mutation.by_hand import DISARMED, ROOT, Disarmed


@pytest.mark.parametrize("disarmed", DISARMED, ids=lambda disarmed: disarmed.name)
def test_the_code_that_a_change_replaces_occurs_once(disarmed: Disarmed) -> None:
    assert (ROOT / disarmed.file).read_text().count(disarmed.before) == 1
    path, _, name = disarmed.tests.partition("::")
    assert (ROOT / path).exists() and (not name or f"def {name}(" in (ROOT / path).read_text())
