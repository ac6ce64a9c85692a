"""Data types, against three nodes."""

from __future__ import annotations

import pytest

import mapring
from mapring import MapChange, SetChange, datatypes


@pytest.fixture
def typed(conn: mapring.Connection, name: str, request: pytest.FixtureRequest) -> mapring.Bucket:
    """A bucket of a data type that no other test has."""
    conn.create_bucket_type(name, datatype=request.param)
    return conn.bucket("b", type=name)


def read(bucket: mapring.Bucket, key: str) -> mapring.Datatype:
    """What is there, by all replicas."""
    found = bucket.datatype(key, r="all")
    assert found is not None
    return found


@pytest.mark.parametrize("typed", ["counter"], indirect=True)
def test_counters(typed: mapring.Bucket) -> None:
    assert typed.datatype("k/é") is None
    assert typed.count("k/é") == 1
    assert typed.count("k/é", -6) == -5
    assert read(typed, "k/é") == mapring.Datatype("counter", -5)
    typed.count("k/é", 2**63 - 1)
    assert typed.count("k/é", 2**63 - 1) == 2**64 - 7
    with pytest.raises(ValueError, match="not empty"):
        typed.count("")


def test_counters_of_no_type(conn: mapring.Connection, name: str) -> None:
    bucket = conn.bucket(name)
    bucket.set_props(allow_mult=True)
    assert bucket.datatype("k") is None
    assert bucket.count("k", 3) == 3
    assert read(bucket, "k") == mapring.Datatype("counter", 3)
    with pytest.raises(ValueError, match="of a bucket type"):
        bucket.change_set("k", add=["x"])


@pytest.mark.parametrize("typed", ["set"], indirect=True)
def test_sets(typed: mapring.Bucket) -> None:
    typed.change_set("k", add=["b", "a", "é"], w="all")
    seen = read(typed, "k")
    assert seen.value == frozenset(["a", "b", "é"]) and seen.context is not None
    typed.change_set("k", add=["late"], w="all")
    typed.change_set("k", remove=["a", "late"], context=seen.context, w="all")
    assert read(typed, "k").value == {"b", "é", "late"}
    with pytest.raises(mapring.HttpError, match="not_present"):
        typed.change_set("k", remove=["none"])
    with pytest.raises(mapring.BadRequest):
        typed.count("k")


@pytest.mark.parametrize(("typed", "value"), [("gset", {"x", "y"}), ("hll", 2)], indirect=["typed"])
def test_what_only_grows(typed: mapring.Bucket, value: object) -> None:
    typed.change_set("k", add=["x", "y"], w="all")
    assert read(typed, "k").value == value
    with pytest.raises(mapring.BadRequest):
        typed.change_set("k", remove=["x"])


@pytest.mark.parametrize("typed", ["map"], indirect=True)
def test_maps(typed: mapring.Bucket) -> None:
    typed.change_map(
        "k",
        {
            "visits_counter": 2,
            "on_flag": True,
            "full_name_register": "é",
            "tags_set": ["x", "y"],
            "more_map": {"within_map": {"n_counter": -1}},
        },
        w="all",
    )
    seen = read(typed, "k")
    assert seen.value == {
        "visits_counter": 2,
        "on_flag": True,
        "full_name_register": "é",
        "tags_set": {"x", "y"},
        "more_map": {"within_map": {"n_counter": -1}},
    }
    typed.change_map(
        "k",
        {"tags_set": SetChange(remove=["x"]), "more_map": MapChange(remove=["within_map"])},
        remove=["on_flag", "full_name_register"],
        context=seen.context,
        w="all",
    )
    assert read(typed, "k").value == {
        "visits_counter": 2,
        "tags_set": {"y"},
        "more_map": {},
    }


def test_a_type_that_is_not_there(conn: mapring.Connection, name: str) -> None:
    with pytest.raises(mapring.NotFound, match="Unknown bucket type"):
        conn.bucket("b", type=name).datatype("k")


def test_changes_that_make_no_sense() -> None:
    for change in (
        {"a_counter": "1"},
        {"a_counter": True},
        {"a_flag": 1},
        {"a_register": 1},
        {"a_set": "text"},
        {"other": 1},
    ):
        with pytest.raises(TypeError):
            datatypes.map_change(MapChange(change))
    with pytest.raises(TypeError):
        datatypes.map_change(MapChange(remove="a_set"))
    with pytest.raises(mapring.MapringError, match="no data type"):
        datatypes.read(b"[]")
