"""map_reduce, against three nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest

import mapring
from mapring import emit, map_reduce

TAGS = ["red", "green", "green", "blue", "green"]


@pytest.fixture
def tags(conn: mapring.Connection, name: str) -> str:
    """A bucket with a tag in each object."""
    for at, tag in enumerate(TAGS):
        conn.hset(name, at, tag)
    return name


JS_MAP = "function(v) { emit(v.values[0].data, 1); }"
JS_SUM = "function(key, values) { return values.reduce(function(a, b) { return a + b; }, 0); }"


def test_javascript(conn: mapring.Connection, tags: str) -> None:
    found = map_reduce(conn, JS_MAP, JS_SUM, inKey=tags)
    assert found == {"red": "1", "green": "3", "blue": "1"}
    typed = map_reduce(conn, JS_MAP, JS_SUM, tags, values="json")
    assert typed == {"red": 1, "green": 3, "blue": 1}


def test_positions_are_those_of_rapmedusa(conn: mapring.Connection, tags: str) -> None:
    out = f"{tags}-out"
    conn.hset(out, "old", "row")
    found = map_reduce(conn, JS_MAP, JS_SUM, tags, "mr_sort", "mr_sorted_keys", out, False)
    assert found == {"red": "1", "green": "3", "blue": "1"}
    assert conn.hget(out, "green") == "3"


def test_no_input_gives_nothing(conn: mapring.Connection, name: str) -> None:
    assert map_reduce(conn, JS_MAP, JS_SUM, name) == {}


def test_an_error_leaves_nothing(conn: mapring.Connection, tags: str) -> None:
    failing = "function(v) { emit('x', 1); if (v.key === '3') throw new Error('no'); }"
    with pytest.raises(mapring.QueryError, match="no"):
        map_reduce(conn, failing, JS_SUM, tags)
    assert map_reduce(conn, JS_MAP, JS_SUM, tags)["green"] == "3"


def test_frames(conn: mapring.Connection, tags: str) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    rows = map_reduce(conn, JS_MAP, JS_SUM, tags, values="json").to_pandas()
    assert rows.set_index("key")["value"].to_dict() == {"red": 1, "green": 3, "blue": 1}


class TestPython:
    """Functions in Python."""

    pytest.importorskip("pscript", reason="pscript is not installed")

    def mapFn(self, k: Any, v: Any) -> None:
        emit(v, 1)

    def reduceFn(self, key: Any, vals: Any) -> Any:
        total = 0
        for v in vals:
            total += int(v)
        return total

    def test_methods(self, conn: mapring.Connection, tags: str) -> None:
        found = map_reduce(conn, self.mapFn, self.reduceFn, tags)
        assert found == {"red": "1", "green": "3", "blue": "1"}

    def test_lambdas(self, conn: mapring.Connection, tags: str) -> None:
        found = map_reduce(conn, lambda k, v: emit(v, k), lambda k, vs: sorted(vs), tags)
        assert found == {"red": "['0']", "green": "['1', '2', '4']", "blue": "['3']"}

    def test_pairs_that_a_map_returns(self, conn: mapring.Connection, tags: str) -> None:
        def pairs(key: Any, value: Any) -> Any:
            emit("all", 1)
            return [(value, 1), None, [value + "!", 2]]

        found = map_reduce(conn, pairs, self.reduceFn, tags, values="json")
        assert found == {
            "all": 5,
            "red": 1,
            "red!": 2,
            "green": 3,
            "green!": 6,
            "blue": 1,
            "blue!": 2,
        }
        found = map_reduce(
            conn, lambda k, v: [emit(w, 1) for w in v.split("e")], self.reduceFn, tags
        )
        assert found == {"": "4", "r": "1", "d": "1", "gr": "3", "n": "3", "blu": "1"}
        found = map_reduce(conn, lambda k, v: ((v, n) for n in range(3)), self.reduceFn, tags)
        assert found == {"red": "3", "green": "9", "blue": "3"}

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda k, v: (k, 1),
            lambda k, v: [v],
            lambda k, v: {v: 1},
            lambda k, v: "ab",
            lambda k, v: 5,
            lambda k, v: [(1, 2, 3)],
        ],
        ids=["a pair", "no pairs", "a dict", "a text", "a number", "three"],
    )
    def test_what_a_map_cannot_return(
        self, conn: mapring.Connection, tags: str, wrong: Any
    ) -> None:
        with pytest.raises(mapring.QueryError, match=r"emit\(key, value\), or returns a list"):
            map_reduce(conn, wrong, self.reduceFn, tags)

    def test_keys_are_not_cut_at_a_colon(self, conn: mapring.Connection, name: str) -> None:
        for at, key in enumerate(["a:b", "x:b", "a:b"]):
            conn.hset(name, at, key)
        found = map_reduce(conn, self.mapFn, self.reduceFn, name)
        assert found == {"a:b": "2", "x:b": "1"}

    def test_values_as_text_are_those_of_python(self, conn: mapring.Connection, tags: str) -> None:
        def mean(key: Any, values: Any) -> Any:
            if key == "blue":
                return None
            return sum(values) / len(values)

        assert map_reduce(conn, self.mapFn, mean, tags) == {"red": "1.0", "green": "1.0"}
        assert map_reduce(conn, self.mapFn, mean, tags, values="json") == {"red": 1, "green": 1}

    def test_an_error_names_the_line_in_python(self, conn: mapring.Connection, name: str) -> None:
        conn.hset(name, "k1", json.dumps({"a": 1}))

        def failing(key: Any, value: Any) -> None:
            record = json.loads(value)
            emit(record["b"], 1)

        with pytest.raises(mapring.QueryError) as caught:
            map_reduce(conn, failing, self.reduceFn, name)
        error = caught.value
        line = failing.__code__.co_firstlineno + 2
        assert error.line == f"{__file__}:{line}"
        assert "KeyError: 'b'" in error.error and error.key == "k1"

    def test_json_has_no_nan(self, conn: mapring.Connection, tags: str) -> None:
        def failing(key: Any, value: Any) -> None:
            emit(value, float("nan"))

        with pytest.raises(mapring.QueryError, match="JSON has no nan"):
            map_reduce(conn, failing, self.reduceFn, tags)


def test_emit_is_for_the_nodes() -> None:
    with pytest.raises(mapring.MapringError, match="run on the nodes"):
        emit("k", 1)
