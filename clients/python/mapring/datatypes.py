"""Data types, which are changed where they lie: what is read of them, and what is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional, Union

from .errors import MapringError

#: What a data type is worth: a number, the elements of a set, or the fields of a map by full name.
Worth = Union[int, frozenset[str], dict[str, Any]]


@dataclass(frozen=True)
class Datatype:
    """A data type as it was read.

    `kind` is `counter`, `set`, `map`, `gset` or `hll`, and `value` a number, a `frozenset`, or a
    `dict` by the full names of the fields (`visits_counter`, `tags_set`). `context` stands for what
    was read: a removal that comes with it removes that and nothing newer.
    """

    kind: str
    value: Worth
    context: Optional[str] = None


class SetChange(NamedTuple):
    """What a set gets and loses. What is in both is there afterwards."""

    add: Iterable[str] = ()
    remove: Iterable[str] = ()


class MapChange(NamedTuple):
    """What becomes of the fields of a map, by their full names, and those that it loses first.

    A counter takes what is added to it, a flag `True` or `False`, a register its text, a set a
    `SetChange` or the elements that it gets, a map a `MapChange` or what becomes of its fields.
    """

    update: Mapping[str, Any] = {}
    remove: Iterable[str] = ()


def read(text: bytes) -> Datatype:
    """A data type from what a node gives of it."""
    try:
        found = json.loads(text)
        kind, value = found["type"], found["value"]
    except (ValueError, TypeError, KeyError) as error:
        raise MapringError(f"this is no data type: {text[:200]!r}") from error
    return Datatype(kind, _value(kind, value), found.get("context"))


def _value(kind: str, value: Any) -> Worth:
    if kind in ("set", "gset"):
        return frozenset(value)
    if kind == "map":
        return {name: _field(name, field) for name, field in value.items()}
    number: int = value
    return number


def _field(name: str, field: Any) -> Any:
    kind = name.rpartition("_")[2]
    return _value(kind, field) if kind in ("set", "map") else field


def set_change(change: SetChange) -> dict[str, Any]:
    """A change of a set, as a node takes it: removals come first."""
    for elements in change:
        if isinstance(elements, str):
            raise TypeError(f"elements are texts, not one text: {elements!r}")
    told = {"remove_all": list(change.remove), "add_all": list(change.add)}
    return {name: elements for name, elements in told.items() if elements}


def map_change(change: MapChange) -> dict[str, Any]:
    """A change of a map, as a node takes it."""
    if isinstance(change.remove, str):
        raise TypeError(f"names of fields, not one name: {change.remove!r}")
    told: dict[str, Any] = {
        "update": {name: _field_change(name, field) for name, field in change.update.items()}
    }
    removed = list(change.remove)
    return {"remove": removed, **told} if removed else told


def _field_change(name: str, change: Any) -> Any:
    kind = name.rpartition("_")[2]
    if kind == "counter" and isinstance(change, int) and not isinstance(change, bool):
        return change
    if kind == "flag" and isinstance(change, bool):
        return "enable" if change else "disable"
    if kind == "register" and isinstance(change, str):
        return {"assign": change}
    if kind == "set":
        return set_change(change if isinstance(change, SetChange) else SetChange(add=change))
    if kind == "map":
        return map_change(change if isinstance(change, MapChange) else MapChange(update=change))
    raise TypeError(f"no change of a field {name!r}: {change!r}")
