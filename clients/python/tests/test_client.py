"""Objects and queries, against three nodes."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import mapring
from mapring import query as q

KEYS = ["plain", "ключ/ ?%", "a+b c", "..x"]
DATA = [b"", b"\r\n--boundary\r\n\x00\xff", b"x" * 300_000]


@pytest.mark.parametrize("key", KEYS)
def test_what_is_put_is_read(conn: mapring.Connection, name: str, key: str) -> None:
    bucket = conn.bucket(name)
    assert bucket.get(key) is None
    bucket.put(
        key,
        {"a": [1, "é"]},
        indexes={"n_int": [2, 1], "w_bin": "é,x"},
        links=[("other", "k/ ,", 'a"tag')],
        meta={"Who": "mé"},
    )
    read = bucket.get(key)
    assert read is not None
    assert read.value == {"a": [1, "é"]}
    assert read.one.indexes == {"n_int": (1, 2), "w_bin": ("é,x",)}
    assert read.one.links == (mapring.Link("other", "k/ ,", 'a"tag'),)
    assert read.one.meta == {"who": "mé"}
    assert read.content_type == "application/json"
    assert read.one.last_modified is not None
    assert list(bucket.keys()) == [key]
    assert bucket.delete(key) is True
    assert bucket.get(key) is None
    assert bucket.delete(key + "-none") is False


@pytest.mark.parametrize("data", DATA, ids=len)
def test_siblings_may_be_any_bytes(conn: mapring.Connection, name: str, data: bytes) -> None:
    bucket = conn.bucket(name)
    bucket.set_props(allow_mult=True)
    assert bucket.props()["allow_mult"] is True
    bucket.put("k", "one")
    bucket.put("k", data)
    read = bucket.get("k")
    assert read is not None
    assert sorted(value.data for value in read.values) == sorted([b"one", data])
    with pytest.raises(mapring.SiblingsError, match="2 values"):
        _ = read.text
    read.put("merged")
    merged = bucket.get("k")
    assert merged is not None and merged.text == "merged"


def test_conditions(conn: mapring.Connection, name: str) -> None:
    bucket = conn.bucket(name)
    bucket.put("k", "1", if_absent=True)
    with pytest.raises(mapring.Conflict) as caught:
        bucket.put("k", "2", if_absent=True)
    assert caught.value.text == f"{name}/k exists already" and caught.value.status == 412
    read = bucket.get("k")
    assert read is not None
    read.put("2", if_unchanged=True)
    with pytest.raises(mapring.Conflict, match=f"{name}/k was changed since it was read"):
        read.put("3", if_unchanged=True)
    now = bucket.get("k")
    assert now is not None and now.text == "2"


def test_a_key_is_made(conn: mapring.Connection, name: str) -> None:
    made = conn.bucket(name).put(None, "x")
    assert made is not None and made.text == "x"
    read = conn.bucket(name).get(made.key)
    assert read is not None and read.text == "x"


def test_bucket_types(conn: mapring.Connection, name: str) -> None:
    conn.create_bucket_type(name, n_val=2)
    assert name in conn.bucket_types()
    assert conn.bucket_type_props(name)["n_val"] == 2
    bucket = conn.bucket("b", type=name)
    bucket.put("k", "typed")
    assert conn.mapred(bucket.inputs, [q.map_phase("Riak.mapValues")]) == ["typed"]
    assert list(conn.buckets(name)) == ["b"]


@pytest.fixture
def days(conn: mapring.Connection, name: str) -> str:
    """A bucket with twenty days."""
    for day in range(20):
        conn.bucket(name).put(f"d{day:02}", {"n": day}, indexes={"n_int": day})
    return name


SUM = [
    q.map_phase("function(v) { return [JSON.parse(v.values[0].data).n]; }"),
    q.reduce_phase("Riak.reduceSum"),
]


def test_queries(conn: mapring.Connection, days: str) -> None:
    assert conn.mapred(days, SUM) == [190]
    assert conn.mapred({"inputs": days, "query": SUM}) == [190]
    assert conn.mapred(q.index(days, "n_int", 3, 5), SUM) == [12]
    assert conn.mapred(q.index(days, "n_int", 7), SUM) == [7]
    assert conn.mapred(q.keys(days, ["d01", "d02"]), SUM) == [3]
    assert conn.mapred(q.key_filters(days, ["starts_with", "d1"]), SUM) == [145]
    count = [q.reduce_phase(q.erlang("reduce_count_inputs"))]
    assert conn.mapred(days, count) == [20]
    conn.bucket(days).put("text", "no JSON")
    skipped = conn.mapred(days, SUM, on_error={"mode": "skip"})
    assert skipped == [190] and skipped.skipped == 1
    assert conn.mapred(days, SUM[:1], on_error={"mode": "skip"}, limit=3) != []


def test_streams(conn: mapring.Connection, days: str) -> None:
    with conn.mapred_stream(days, SUM[:1]) as stream:
        found = [value for phase, values in stream for value in values if phase == 0]
    assert sorted(found) == list(range(20))
    assert stream.done is not None and stream.done["inputs_done"] == 20
    assert stream.query_id


def test_a_stream_that_is_left_ends_its_query(conn: mapring.Connection, days: str) -> None:
    loop = [q.map_phase("function(v) { for (;;) { } }")]
    stream = conn.mapred_stream(days, loop)
    assert conn.query(stream.query_id)["id"] == stream.query_id
    stream.close()
    ends = time.monotonic() + 20
    while any(one["id"] == stream.query_id for one in conn.queries()["queries"]):
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_query_can_be_ended(conn: mapring.Connection, days: str) -> None:
    stream = conn.mapred_stream(days, [q.map_phase("function(v) { for (;;) { } }")])
    assert conn.end_query(stream.query_id) is True
    with pytest.raises(mapring.QueryError):
        list(stream)
    assert conn.end_query("none") is False


def test_errors_say_where(conn: mapring.Connection, days: str) -> None:
    text = "function(v) {\n  if (v.key == 'd03') throw new Error('no');\n  return [];\n}"
    failing = [q.map_phase(text)]
    for run in (conn.mapred, lambda *a: list(conn.mapred_stream(*a))):
        with pytest.raises(mapring.QueryError) as caught:
            run(days, failing)
        error = caught.value
        assert (error.phase, error.bucket, error.key) == (0, days, "d03")
        assert error.type == "exception" and "no" in error.error
        assert error.stack is not None and "source:2:" in error.stack and error.node
    with pytest.raises(mapring.BadRequest, match="query"):
        conn.mapred(days, [{"mop": {}}])
    with pytest.raises(mapring.QueryTimeout):
        conn.mapred(days, [q.map_phase("function(v) { for (;;) { } }")], timeout=0.3)
    with pytest.raises(mapring.AnswerTooLarge):
        conn.mapred(days, SUM[:1], max_bytes=10)
    with pytest.raises(TypeError, match="no option"):
        conn.mapred(days, SUM, limmit=1)


def test_plans_and_profiles(conn: mapring.Connection, days: str) -> None:
    assert conn.explain(days, SUM)["inputs"] == {"form": "bucket", "bucket": days}
    assert conn.profile(days, SUM)["phases"]
    answer = conn.mapred(days, SUM, profile=True)
    assert answer == [190] and answer.profile is not None


def test_threads_share_a_connection(conn: mapring.Connection, name: str) -> None:
    def work(worker: int) -> None:
        for n in range(25):
            conn.bucket(name).put(f"{worker}-{n}", str(n))
            read = conn.bucket(name).get(f"{worker}-{n}")
            assert read is not None and read.text == str(n)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(list(conn.bucket(name).keys())) == 200


def test_hashes(conn: mapring.Connection, name: str) -> None:
    conn.hset(name, 1, "one")
    conn.hset(name, 1, "uno")
    conn.hset(name, "2", 2)
    assert conn.hget(name, 1) == "uno" and conn.hget(name, 2) == "2"
    assert sorted(conn.hkeys(name)) == ["1", "2"]
    assert conn.hdel(name, 1, 3) == 1


def test_the_next_node_is_asked(urls: list[str], name: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with mapring.connect([nobody, *urls]) as conn:
            conn.bucket(name).put("k", "x")
            assert conn.mapred(name, [q.map_phase("Riak.mapValues")]) == ["x"]
        with mapring.connect(nobody) as alone, pytest.raises(mapring.Unreachable) as caught:
            alone.bucket(name).get("k")
        assert caught.value.attempts[0][0] == nobody
        assert not alone.ping()


class _Node(http.server.BaseHTTPRequestHandler):
    """A node that is about to stop, or breaks off."""

    def do_GET(self) -> None:
        self.answer(b"this node is stopping: ask another node", 503)

    def do_PUT(self) -> None:
        self.close_connection = True

    def do_POST(self) -> None:
        self.answer(b'{"query":"q"}\n{"phase":0,"data":[1]}\n', 200)

    def answer(self, body: bytes, status: int) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def odd() -> Iterator[str]:
    """The address of such a node."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Node) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_node_that_stops_is_passed_over(odd: str, urls: list[str], name: str) -> None:
    with mapring.connect([odd, *urls]) as conn:
        assert conn.bucket(name).get("k") is None


def test_what_may_have_been_done_is_not_sent_twice(odd: str, urls: list[str], name: str) -> None:
    with mapring.connect([odd, *urls]) as conn:
        with pytest.raises(mapring.ConnectionLost):
            conn.bucket(name).put("k", "x", if_absent=True)
        conn.bucket(name).put("k", "x")
        assert conn.hget(name, "k") == "x"


def test_an_answer_that_is_cut_off_is_an_error(odd: str) -> None:
    with mapring.connect(odd) as conn, pytest.raises(mapring.ConnectionLost):
        list(conn.mapred_stream("b", SUM))


def test_frames(conn: mapring.Connection, days: str) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    rows = conn.mapred(days, [q.map_phase("Riak.mapValuesJson")]).to_pandas()
    assert isinstance(rows, pandas.DataFrame) and rows["n"].sum() == 190
    pairs = [q.map_phase("function(v) { return [[v.key, 1]]; }")]
    assert list(conn.mapred_stream(days, pairs).to_pandas().columns) == ["key", "value"]
    with pytest.raises(mapring.MapringError, match="more than 5 rows"):
        conn.mapred_stream(days, pairs).to_pandas(most=5)


def test_addresses() -> None:
    for wrong in ("ftp://x", "http://", "http://x/y", "http://u@x"):
        with pytest.raises(ValueError):
            mapring.connect(wrong)
    assert mapring.connect("localhost").transport.nodes[0].url == "http://localhost:8098"
