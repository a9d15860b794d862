"""Checks the rows of a prediction request by the same contract as batches, without a data frame."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from trimtab.contracts import RecipeFeature
from trimtab.data.schema import EVENT_TIME, ROW_ID, columns
from trimtab.errors import RequestRejected
from trimtab.params import Data
from trimtab.serve.bodies import Fault, fault, under
from trimtab.serve.request_types import Action, predict_body

Row = Mapping[str, Any]


class CheckedRows(NamedTuple):
    """Rows as the client sent them, without faults; `times` and `actions` have an entry for each.

    `times` are the event times. `missing` names a feature for each null, `unseen` for each undeclared category.
    """

    rows: Sequence[Row]
    times: Sequence[datetime]
    actions: Sequence[Action | None]
    missing: Sequence[str]
    unseen: Sequence[str]


class RowChecker:
    """Checks bodies of `POST /predict`.

    A value of another JSON type than the contract's is a fault, never converted. An undeclared category is not a fault.
    `optional` are features of other recipes, which a row may have.
    """

    def __init__(
        self, data: Data, max_rows: int, optional: Mapping[str, RecipeFeature] | None = None
    ) -> None:
        self.body = predict_body(data, max_rows, optional or {})
        required = columns(data, labelled=False)
        self._required, self._fields = len(required), frozenset([*required, *(optional or {})])
        self._nullable = [name for name, feature in data.features.items() if feature.nullable]
        self._categories = [(name, frozenset([*values, None])) for name, values in data.categories.items()]

    def check(self, content: Any) -> CheckedRows:
        """Return the rows of a request.

        Raises:
            RequestRejected: A field is missing, unknown, of another type, out of range or null where it may not be, or
                an id occurs twice; names all faults of all rows.
            RequestEntityTooLarge: There are too many rows.
        """
        rows = self.body.items(content)
        try:
            checked = self.body.check(content)
        except RequestRejected as rejected:
            raise RequestRejected([*rejected.faults, *self._faults_of_form(rows)]) from None
        repeated = len(rows) > 1 and len({row[ROW_ID] for row in rows}) < len(rows)
        if (repeated or max(map(len, rows)) > self._required) and (faults := self._faults_of_form(rows)):
            raise RequestRejected(faults)
        return CheckedRows(
            rows=rows,
            times=[row[EVENT_TIME] for row in under(checked, "row")],
            actions=under(checked, "action") if len(checked) > 1 else [None] * len(rows),
            missing=[name for row in rows for name in self._nullable if row[name] is None],
            unseen=[name for row in rows for name, values in self._categories if row[name] not in values],
        )

    def _faults_of_form(self, rows: Sequence[Any]) -> list[Fault]:
        """Return a fault for each unknown field, and for each row whose id an earlier row has."""
        faults = []
        seen: set[str] = set()
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                continue  # pydantic reports it, and an id that is no text
            faults += [
                fault(name, "no field with this name", row[name], row=number)
                for name in row
                if name not in self._fields
            ]
            row_id = row.get(ROW_ID)
            if isinstance(row_id, str):
                if row_id in seen:
                    faults.append(fault(ROW_ID, "an id that occurs once in the request", row_id, row=number))
                seen.add(row_id)
        return faults
