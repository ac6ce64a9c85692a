"""Queries: their inputs and phases, made by functions that give plain JSON values.

Whatever takes inputs or a phase also takes the JSON of it, as the documentation of MapReduce
writes it: these functions spare the quotes and check the names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, Union

#: Inputs of a query, as JSON.
Inputs = Union[str, Sequence[Any], Mapping[str, Any]]

#: A map, reduce or link phase, as JSON: `{"map": {…}}`.
Phase = dict[str, Any]

#: Options beside `inputs` and `query`.
OPTIONS = frozenset(
    (
        "binary",
        "consistency",
        "explain",
        "limit",
        "limits",
        "name",
        "on_error",
        "output",
        "params",
        "partitions",
        "profile",
        "shards",
        "tombstones",
    )
)


def bucket(
    name: Union[str, Sequence[str]], *, filters: Sequence[Sequence[Any]] = (), **members: Any
) -> Inputs:
    """Every object of a bucket, or of `[type, bucket]`; members such as `prefix="2024-"`,
    `keys_only=True`, `key_range={"start": "a", "end": "m"}` narrow it down."""
    if not filters and not members:
        return name if isinstance(name, str) else list(name)
    inputs: dict[str, Any] = {"bucket": name if isinstance(name, str) else list(name), **members}
    if filters:
        inputs["filters"] = [list(one) for one in filters]
    return inputs


def keys(bucket: str, names: Iterable[str], type: Optional[str] = None) -> list[list[Any]]:
    """These objects of a bucket."""
    if type is None:
        return [[bucket, name] for name in names]
    return [[bucket, name, None, type] for name in names]


def key_filters(bucket: Union[str, Sequence[str]], *filters: Sequence[Any]) -> Inputs:
    """The objects whose keys pass the filters, one after the other."""
    name = bucket if isinstance(bucket, str) else list(bucket)
    return {"bucket": name, "key_filters": [list(one) for one in filters]}


def index(
    bucket: Union[str, Sequence[str]],
    index: str,
    start: Union[int, str],
    end: Union[int, str, None] = None,
) -> Inputs:
    """The objects with this term in an index, or with terms from `start` to `end`."""
    name = bucket if isinstance(bucket, str) else list(bucket)
    if end is None:
        return {"bucket": name, "index": index, "key": start}
    return {"bucket": name, "index": index, "start": start, "end": end}


def js(function: str, arg: Any = None, **members: Any) -> dict[str, Any]:
    """A JavaScript function: its text, or the name of one (`Riak.mapValues`)."""
    simple = function.replace(".", "").replace("_", "").isalnum() and "function" not in function
    phase: dict[str, Any] = {"language": "javascript"}
    phase["name" if simple else "source"] = function
    if arg is not None:
        phase["arg"] = arg
    phase.update(members)
    return phase


def stored(bucket: str, key: str, arg: Any = None, **members: Any) -> dict[str, Any]:
    """A JavaScript function whose text is an object."""
    phase: dict[str, Any] = {"language": "javascript", "bucket": bucket, "key": key}
    if arg is not None:
        phase["arg"] = arg
    phase.update(members)
    return phase


def erlang(function: str, arg: Any = None, **members: Any) -> dict[str, Any]:
    """A built-in under its Erlang name, which runs natively: `map_object_value`."""
    module, _, name = function.rpartition(":")
    phase: dict[str, Any] = {
        "language": "erlang",
        "module": module or "riak_kv_mapreduce",
        "function": name,
    }
    if arg is not None:
        phase["arg"] = arg
    phase.update(members)
    return phase


def map_phase(function: Union[str, Mapping[str, Any]], **members: Any) -> Phase:
    """A map phase of JavaScript text, a name, or what `js`, `stored` or `erlang` gave."""
    return {"map": _function(function, members)}


def reduce_phase(function: Union[str, Mapping[str, Any]], **members: Any) -> Phase:
    """A reduce phase; with `group=True`, one whose function is called for each key."""
    return {"reduce": _function(function, members)}


def link_phase(bucket: str = "_", tag: str = "_", **members: Any) -> Phase:
    """A link phase: follows the links to a bucket, with a tag; `_` is any."""
    return {"link": {"bucket": bucket, "tag": tag, **members}}


def _function(function: Union[str, Mapping[str, Any]], members: dict[str, Any]) -> dict[str, Any]:
    made = js(function) if isinstance(function, str) else dict(function)
    made.update(members)
    return made


def document(
    inputs: Union[Inputs, None],
    query: Optional[Sequence[Mapping[str, Any]]],
    timeout: float,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """The JSON of a query. Where `inputs` has a `query` itself, it is a whole document, and what
    is given beside it counts more."""
    made: dict[str, Any]
    if isinstance(inputs, Mapping) and "inputs" in inputs and "query" in inputs:
        if query is not None:
            raise ValueError("the document has a query, and one was given beside it")
        made = dict(inputs)
    elif query is None:
        raise ValueError("a query needs phases: mapred(inputs, [phase, …])")
    else:
        made = {"inputs": inputs, "query": [dict(phase) for phase in query]}
        if not isinstance(inputs, (str, Mapping)):
            made["inputs"] = list(inputs or ())
    for name in options:
        if name not in OPTIONS:
            raise TypeError(f"a query has no option {name!r}: those there are: {sorted(OPTIONS)}")
    made.update(options)
    made.setdefault("timeout", max(1, round(timeout * 1000)))
    return made
