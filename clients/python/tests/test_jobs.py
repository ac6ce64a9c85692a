"""Jobs and pipelines: what is sent and read, against a server that plays a node; and all of it
against three nodes."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any, ClassVar, Optional

import pytest

import mapring
from mapring import query as q

AGES = {
    "query": [
        q.map_phase("function(v) { emit(JSON.parse(v.values[0].data).age, 1); }"),
        q.reduce_phase("function(k, vs) { return vs.length; }", group=True),
    ],
    "name": "ages",
}


class _Played(http.server.BaseHTTPRequestHandler):
    """Answers as the test says, and keeps what it was asked."""

    protocol_version = "HTTP/1.1"
    answers: ClassVar[dict[str, list[tuple[int, str]]]]
    asked: ClassVar[list[tuple[str, str, Optional[str], bytes]]]

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        key = self.headers.get("Idempotency-Key") or self.headers.get("Last-Event-ID")
        self.asked.append((self.command, self.path, key, body))
        answers = self.answers[f"{self.command} {self.path}"]
        status, text = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        pass


class Played:
    """A node that is played."""

    def __init__(self, server: http.server.ThreadingHTTPServer, handler: type[_Played]) -> None:
        self.asked = handler.asked
        self.answers = handler.answers
        self.conn = mapring.connect(f"http://127.0.0.1:{server.server_port}")

    def says(self, request: str, *answers: object, status: int = 200) -> None:
        """Answers a request with these, one after the other, and with the last from then on."""
        self.answers[request] = [
            (status, one if isinstance(one, str) else json.dumps(one)) for one in answers
        ]


@pytest.fixture
def played() -> Iterator[Played]:
    """Such a node."""

    class Handler(_Played):
        answers: ClassVar = {}
        asked: ClassVar = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        made = Played(server, Handler)
        yield made
        made.conn.close()
        server.shutdown()
        thread.join()


def test_a_job_is_started_once(played: Played) -> None:
    played.says("POST /jobs", {"id": "j", "href": "/jobs/j"}, status=202)
    played.says("PUT /jobs/a%2Fb", {"id": "a/b", "href": "/jobs/a%2Fb"}, status=202)
    assert played.conn.start_job({"config": "daily"}).id == "j"
    assert played.conn.start_job({"config": "daily"}, key="k").id == "j"
    assert played.conn.start_job({"config": "daily"}, id="a/b").id == "a/b"
    keys = [key for _, _, key, _ in played.asked]
    assert keys[0] is not None and len(keys[0]) == 32 and keys[1:] == ["k", None]
    assert json.loads(played.asked[0][3]) == {"config": "daily"}


def test_everything_that_is_wrong_is_told(played: Played) -> None:
    first = {"field": "rate", "message": "is a number"}
    answer = {"error": "bad_request", **first, "problems": [first, {"field": "", "message": "x"}]}
    played.says("POST /jobs", answer, status=400)
    with pytest.raises(mapring.BadRequest, match="rate: is a number; x") as caught:
        played.conn.start_job({})
    assert caught.value.problems == [("rate", "is a number"), ("", "x")]
    played.says("GET /jobs/j", {"error": "not_found", "message": "there is no job j"}, status=404)
    with pytest.raises(mapring.NotFound, match="there is no job j"):
        played.conn.job("j").show()
    played.says("POST /jobs", {"error": "too_many", "message": "10000"}, status=429)
    with pytest.raises(mapring.TooMany):
        played.conn.start_job({})


def test_a_job_is_waited_for(played: Played) -> None:
    runs = {"active": True, "state": "running", "result_status": None}
    done = {"active": False, "state": "done", "result_status": "success"}
    job = played.conn.job("j")
    seen: list[Any] = []
    played.says("GET /jobs/j", runs, runs, done)
    assert job.wait(every=0.01, progress=seen.append) is job
    assert seen == [runs, runs] and not job.active
    error = {"error": "boom", "phase": 0}
    played.says("GET /jobs/j", {**done, "result_status": "failed", "error": error})
    with pytest.raises(mapring.JobFailed, match="j failed: boom") as caught:
        job.wait()
    assert caught.value.details["error"] == error
    played.says("GET /jobs/j", {**done, "result_status": "aborted", "error": None})
    with pytest.raises(mapring.JobAborted, match="j was aborted"):
        job.wait()
    played.says("GET /jobs/j", runs)
    with pytest.raises(mapring.RequestTimeout, match="it goes on"):
        job.wait(0.05, every=0.02)


def test_results_are_read(played: Played) -> None:
    job = played.conn.job("j")
    played.says("GET /jobs/j/results", [["21", 1]])
    assert job.results() == [["21", 1]]
    played.says("GET /jobs/j/results", {"21": 1})
    assert job.results() == {"21": 1}
    lines = '{"job":"j"}\n{"phase":1,"data":[1,2]}\n\n{"phase":1,"data":[3]}\n'
    played.says("GET /jobs/j/results", lines + '{"done":{"results":3}}\n')
    assert list(job.result_stream()) == [(1, [1, 2]), (1, [3])]
    played.says("GET /jobs/j/results", lines)
    with pytest.raises(mapring.ConnectionLost):
        list(job.result_stream())
    played.says("GET /jobs/j/errors", {"errors": [{"error": "x"}], "left_out": 0})
    assert job.errors() == [{"error": "x"}]


def test_events_go_on_at_another_node(played: Played) -> None:
    event = '{"id":"1-%d","event":"state","time_ms":1,"data":{}}\n'
    played.says("GET /jobs/j/events", event % 1 + "\n" + event % 2, event % 3, "")
    played.says("GET /jobs/j", {"active": False})
    assert [one["id"] for one in played.conn.job("j").events()] == ["1-1", "1-2", "1-3"]
    after = [key for _, path, key, _ in played.asked if path.endswith("/events")]
    assert after == [None, "1-2", "1-3"]


def test_jobs_are_aborted_removed_and_listed(played: Played) -> None:
    job = played.conn.job("j")
    played.says("POST /jobs/j/abort", {"status": "Abort signal sent."}, status=202)
    job.abort()
    job.abort("enough")
    assert [body for *_, body in played.asked] == [b"", b'{"message": "enough"}']
    played.says("DELETE /jobs/j?abort=true", "", status=204)
    job.remove(abort=True)
    first, second = {"id": "1"}, {"id": "2"}
    played.says("GET /jobs?state=active", {"jobs": [first], "cursor": "c/"})
    played.says("GET /jobs?state=active&cursor=c%2F", {"jobs": [second], "cursor": None})
    assert list(played.conn.jobs(state="active")) == [first, second]


def test_named_jobs_and_schedules(played: Played) -> None:
    conn = played.conn
    played.says("GET /job-configs", {"configs": [{"name": "daily", "params": []}]})
    played.says("GET /schedules", {"schedules": []})
    for path in ("/job-configs/daily", "/schedules/daily"):
        played.says(f"PUT {path}", "", status=204)
        played.says(f"DELETE {path}", "", status=204)
    assert conn.job_configs()[0]["name"] == "daily" and conn.schedules() == []
    conn.put_job_config("daily", {"job": {}})
    conn.put_schedule("daily", {"cron": "0 3 * * *", "job": {"config": "daily"}})
    conn.remove_schedule("daily")
    conn.remove_job_config("daily")
    assert len(played.asked) == 6


def test_a_pipeline_is_waited_for(played: Played) -> None:
    played.says("POST /pipelines", {"id": "p", "href": "/pipelines/p"}, status=202)
    outputs = {"default": {"status": "filled", "value": [["out", "d"]]}}
    steps = {
        "a": {"status": "done", "job_id": "j", "outputs": outputs},
        "b": {"status": "run", "outputs": {"default": {"status": "waiting"}}},
    }
    runs = {"id": "p", "status": "run", "steps": steps}
    played.says("GET /pipelines/p", runs, {**runs, "status": "done"})
    pipeline = played.conn.start_pipeline({"steps": {}})
    assert pipeline.wait(every=0.01) is pipeline
    assert pipeline.output("a") == [["out", "d"]] and pipeline.job("a").id == "j"
    for step in ("b", "a"):
        with pytest.raises(mapring.MapringError, match="has not given"):
            pipeline.output(step, "counters")
    with pytest.raises(mapring.MapringError, match="has no job"):
        pipeline.job("b")
    played.says("POST /pipelines/p/steps/b/approve", {"status": "x"}, status=202)
    pipeline.approve("b")
    played.says("GET /pipelines/p", {**runs, "status": "aborted", "abort_message": "enough"})
    with pytest.raises(mapring.JobAborted, match="p was aborted: enough"):
        pipeline.wait()


def test_ages_as_a_job(conn: mapring.Connection, name: str) -> None:
    for key, age in (("1", 43), ("2", 21), ("3", 54), ("4", 54)):
        conn.bucket(name).put(key, {"age": age})
    planned = conn.dry_run_job({"inputs": name, **AGES})
    assert planned["valid"] is True and planned["shards"]
    job = conn.start_job({"inputs": name, **AGES}, key=name)
    assert conn.start_job({"inputs": name, **AGES}, key=name).id == job.id
    job.wait(60)
    assert job.results() == [[21, 1], [43, 1], [54, 2]]
    assert [row for _, rows in job.result_stream() for row in rows] == job.results()
    assert job.counters["mapper-calls"] == 4
    assert any(one["id"] == job.id for one in conn.jobs(name="ages"))
    assert [event["event"] for event in job.events()]
    job.remove()
    with pytest.raises(mapring.NotFound):
        job.show()


def test_a_job_that_fails(conn: mapring.Connection, name: str) -> None:
    conn.bucket(name).put("b", "x")
    fails = [q.map_phase("function(v) { throw new Error('boom on ' + v.key); }")]
    retries = {"shard": 1, "slice": 1}
    job = conn.start_job({"inputs": name, "query": fails, "retries": retries})
    with pytest.raises(mapring.JobFailed, match="boom on b"):
        job.wait(60)
    with pytest.raises(mapring.Conflict):
        job.results()


def test_two_steps(conn: mapring.Connection, name: str) -> None:
    numbers = {"range": {"start": 0, "end": 10}}
    values = [q.map_phase("function(v) { return [Number(v.values[0].data)]; }")]
    total = [*values, q.reduce_phase("Riak.reduceSum")]
    steps = {
        "numbers": {"job": {"inputs": numbers, "query": values}},
        "sum": {"job": {"inputs": {"items": {"$from": "numbers"}}, "query": total}},
    }
    pipeline = conn.start_pipeline({"name": name, "steps": steps}).wait(90)
    assert pipeline.output("sum") == [45]
    pipeline.remove()
