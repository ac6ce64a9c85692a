"""MapReduce in one call: a map function emits pairs, a reduce function gets each key's values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from . import limits
from .errors import MapringError
from .frames import frame
from .query import Inputs, js

if TYPE_CHECKING:
    import pandas

    from .connection import Connection
    from .translate import Translated

#: JavaScript text, a phase's function as JSON, or a Python function.
Function = Union[str, Mapping[str, Any], Callable[..., Any]]

#: Gives an output its text back.
_READ = "function(v) { return [[v.key, v.values[0].metadata['content-type'], v.values[0].data]]; }"


def emit(key: Any, val: Any) -> None:
    """Emits a pair, in a map function. There it becomes JavaScript's `emit`: here, it cannot be
    called."""
    raise MapringError("emit() is for map functions, which run on the nodes")


class Output(dict[str, Any]):
    """The result of `map_reduce`: a dict of what the reduce function returned for each key."""

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame with the columns `key` and `value`."""
        return frame([[key, value] for key, value in self.items()])


def map_reduce(
    conn: Connection,
    mapFunc: Function,
    reduceFunc: Function,
    inKey: Union[str, Inputs] = "rapmedusa:inputs",
    sortKey: Optional[str] = None,
    sortedKeySet: Optional[str] = None,
    outKey: Optional[str] = None,
    cleanUp: bool = True,
    *,
    combine: Optional[Function] = None,
    values: str = "string",
    timeout: Optional[float] = None,
    max_bytes: int = limits.ANSWER_BYTES,
    **options: Any,
) -> Output:
    """Runs a map and a reduce function on all nodes, and gives a dict of their results.

    Args:
        conn: A connection.
        mapFunc: Called with the key and the text of each object; calls `emit(key, value)` as
            often as it likes. JavaScript text is a map function as in a query, `function(v)`.
        reduceFunc: Called once for each emitted key, with the key and all its values in the order
            of the inputs; returns one value, or `None` for nothing.
        inKey: The bucket that is read, or other inputs of a query.
        sortKey: Not needed: what lies between map and reduce has no names. Kept for its place.
        sortedKeySet: As `sortKey`.
        outKey: A bucket that gets an object for each key, as well. Without it nothing is stored.
            What it held before is not part of the result.
        cleanUp: Nothing is left behind either way. Kept for its place.
        combine: A function `(key, fresh, old)` that gives a list which stands for both, called on
            the nodes that map; it makes the way to the reduce function shorter.
        values: `"string"` for values as text, as of a hash; `"json"` for what they are.
        timeout: Seconds for the whole.
        max_bytes: What the result may have; with `mapred_stream` there is no limit.

    Raises:
        QueryError: a function failed; it says where.
        TranslationError: a Python function cannot become JavaScript; it names the line.
    """
    if values not in ("string", "json"):
        raise ValueError(f'values is "string" or "json", not {values!r}')
    del sortKey, sortedKeySet, cleanUp
    as_text = values == "string"
    made: dict[int, Translated] = {}
    map_member = _function(mapFunc, "map", 0, made)
    reduce_member = _function(reduceFunc, "reduce", 1, made, as_text and outKey is None)
    reduce_member["group"] = True
    if combine is not None:
        reduce_member["combine"] = _function(combine, "combine", -1, made)

    def locate(phase: Optional[int], stack: str) -> Optional[str]:
        known = made.get(phase) if phase is not None else None
        return known.locate(stack) if known is not None else None

    if outKey is None:
        output: dict[str, Any] = {"as": "object"}
        if as_text:
            output["values"] = "string"
    else:
        output = {"bucket": outKey, "layout": "per_key"}
    found = conn.mapred(
        inKey,
        [{"map": map_member}, {"reduce": reduce_member}],
        output=output,
        timeout=timeout,
        max_bytes=max_bytes,
        locate=locate,
        **options,
    )
    if outKey is None:
        if not isinstance(found, dict):
            raise MapringError("the node does not group by key: it is of an older release")
        return Output(found)
    return _read_back(conn, found, as_text, timeout, max_bytes)


def _function(
    function: Function,
    role: str,
    phase: int,
    made: dict[int, Translated],
    as_text: bool = False,
) -> dict[str, Any]:
    """A phase's function as JSON."""
    if isinstance(function, str):
        return js(function)
    if isinstance(function, Mapping):
        return dict(function)
    from .translate import translate

    made[phase] = translate(function, role, emit, as_text=as_text)
    return js(made[phase].source)


def _read_back(
    conn: Connection, outputs: Any, as_text: bool, timeout: Optional[float], max_bytes: int
) -> Output:
    """The objects that a query stored, some at a time."""
    if not isinstance(outputs, list) or not all(isinstance(one, list) for one in outputs):
        raise MapringError("the node stores no outputs: it is of an older release")
    read = Output()
    held = 0
    for at in range(0, len(outputs), limits.OUTPUTS_AT_ONCE):
        some = outputs[at : at + limits.OUTPUTS_AT_ONCE]
        for key, kind, data in conn.mapred(some, [{"map": js(_READ)}], timeout=timeout):
            held += len(key) + len(data)
            if held > max_bytes:
                raise MapringError(
                    f"the result has more than {max_bytes} bytes: it is stored, read it from its "
                    "bucket"
                )
            value = json.loads(data) if kind.startswith("application/json") else data
            read[key] = value if not as_text or isinstance(value, str) else _text(value)
    return read


def _text(value: Any) -> str:
    """A value as text, as `str()` writes it in the functions."""
    return str(value)
