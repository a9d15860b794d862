"""The columns of a batch, as `params.yaml` declares them."""

from typing import TYPE_CHECKING

from trimtab import params

if TYPE_CHECKING:
    import pandas as pd

ROW_ID, EVENT_TIME, LABEL, KNOWN_AT = "row_id", "event_time", "label", "label_known_at"
LABEL_COLUMNS = (LABEL, KNOWN_AT)
_LONGEST = 80


def columns(data: params.Data, *, labelled: bool = True) -> list[str]:
    """Name the columns of a batch; without the label's for a request to the service."""
    return [ROW_ID, EVENT_TIME, *data.features, *(LABEL_COLUMNS if labelled else ())]


def unseen(frame: "pd.DataFrame", data: params.Data) -> dict[str, int]:
    """Count the values outside the declared categories, by feature; features without any are left out."""
    counts = {
        name: int((frame[name].notna() & ~frame[name].isin(allowed)).sum())
        for name, allowed in data.categories.items()
    }
    return {name: count for name, count in counts.items() if count}


def shown(value: object) -> str:
    """Shorten a value for a message."""
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
