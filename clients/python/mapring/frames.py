"""Data frames, where pandas is installed (`pip install mapring[pandas]`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .errors import MapringError

if TYPE_CHECKING:
    import pandas


def frame(rows: list[Any]) -> pandas.DataFrame:
    """A data frame of results: objects have their members as columns, pairs `key` and `value`."""
    try:
        import pandas
    except ImportError as error:
        raise MapringError("to_pandas() needs pandas: pip install 'mapring[pandas]'") from error
    if rows and all(isinstance(row, Mapping) for row in rows):
        return pandas.DataFrame.from_records(rows)
    if rows and all(isinstance(row, (list, tuple)) and len(row) == 2 for row in rows):
        return pandas.DataFrame.from_records(rows, columns=["key", "value"])
    return pandas.DataFrame({"value": rows})
