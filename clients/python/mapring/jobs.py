"""Jobs and pipelines: work that outlives the program that started it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, Union
from urllib.parse import quote, urlencode

from . import limits
from .answer import Results, ResultStream
from .errors import (
    ConnectionLost,
    JobAborted,
    JobFailed,
    MapringError,
    RequestTimeout,
    Unavailable,
    Unreachable,
)

if TYPE_CHECKING:
    from .connection import Connection

#: Called while something is waited for, with what is shown of it.
Progress = Callable[[dict[str, Any]], object]

#: What goes by: a node that is lost while it is asked.
_PASSING = (Unreachable, ConnectionLost, RequestTimeout, Unavailable)


class _Started:
    """Something that runs on the nodes, known by its id."""

    #: The path below which it is.
    at = ""

    def __init__(self, conn: Connection, id: str) -> None:
        self.conn = conn
        self.id = id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def show(self) -> dict[str, Any]:
        """All that is shown of it, as the documentation of jobs has it."""
        return self.conn.get_json(self.path())

    def abort(self, message: Optional[str] = None) -> None:
        """Has it end. It has ended when `wait` says so."""
        body = b"" if message is None else json.dumps({"message": message}).encode()
        headers = [("Content-Type", "application/json")] if body else []
        request = self.conn.transport.request
        with request("POST", self.path("/abort"), headers, body, twice=True) as answer:
            answer.read(limits.ERROR_BYTES)

    def remove(self, *, abort: bool = False) -> None:
        """Removes it and what is kept of it; its outputs stay. One that is active is a `Conflict`,
        unless it is to be aborted first."""
        path = self.path("?abort=true" if abort else "")
        with self.conn.transport.request("DELETE", path, twice=True) as answer:
            answer.read(limits.ERROR_BYTES)

    def path(self, below: str = "") -> str:
        """Its path, or one below it."""
        return f"{self.at}/{quote(self.id, safe='')}{below}"

    def _until(
        self,
        has_ended: Callable[[dict[str, Any]], bool],
        timeout: Optional[float],
        every: float,
        progress: Optional[Progress],
    ) -> dict[str, Any]:
        """Asks until it has ended. Nodes may go away meanwhile, for as long as a cluster needs to
        get over it."""
        begun = heard = time.monotonic()
        while True:
            try:
                shown = self.show()
                heard = time.monotonic()
                if has_ended(shown):
                    return shown
                if progress is not None:
                    progress(shown)
            except _PASSING:
                if time.monotonic() - heard > limits.PATIENCE:
                    raise
            if timeout is not None and time.monotonic() - begun + every > timeout:
                raise RequestTimeout(f"{self.id} has not ended within {timeout} s; it goes on")
            time.sleep(every)


class Job(_Started):
    """A job. Made by `Connection.start_job` and `Connection.job`."""

    at = "/jobs"

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return bool(self.show()["active"])

    @property
    def counters(self) -> dict[str, int]:
        """What it and its functions have counted so far."""
        counters: dict[str, int] = self.show()["counters"]
        return counters

    def wait(
        self,
        timeout: Optional[float] = None,
        *,
        every: float = limits.ASK_EVERY,
        progress: Optional[Progress] = None,
    ) -> Job:
        """Waits for its end, which must be success.

        Raises:
            JobFailed: it failed; `details` says at what.
            JobAborted: it was aborted.
            RequestTimeout: it has not ended in so many seconds; it goes on.
        """
        shown = self._until(lambda shown: not shown["active"], timeout, every, progress)
        if shown["result_status"] == "success":
            return self
        kind = JobAborted if shown["result_status"] == "aborted" else JobFailed
        raise kind(self.id, shown)

    def results(self, *, max_bytes: int = limits.ANSWER_BYTES) -> Any:
        """What it gave, as `Connection.mapred` would have given it: a list of results, or an object
        where its `output` asks for one.

        Raises:
            Conflict: it has not succeeded.
            AnswerTooLarge: there are more than `max_bytes`: `result_stream` has no limit.
        """
        headers = [("Accept", "application/json")]
        path = self.path("/results")
        with self.conn.transport.request("GET", path, headers, twice=True) as answer:
            found = json.loads(answer.read(max_bytes))
        return Results(found) if isinstance(found, list) else found

    def result_stream(self) -> ResultStream:
        """What it gave, however much: `for phase, values in stream`."""
        headers = [("Accept", "application/x-ndjson")]
        path = self.path("/results")
        return ResultStream(self.conn.transport.request("GET", path, headers, twice=True))

    def errors(self) -> list[dict[str, Any]]:
        """The inputs that it left out or failed at, the newest first."""
        errors: list[dict[str, Any]] = self.conn.get_json(self.path("/errors"))["errors"]
        return errors

    def events(self, after: Optional[str] = None) -> Iterator[dict[str, Any]]:
        """What happens in it, until it has ended: each with `id`, `event`, `time_ms`, `data`. When
        a node goes away meanwhile, another one tells the rest."""
        heard = time.monotonic()
        while True:
            told = False
            try:
                for event in self._events(after):
                    told, after = True, event["id"]
                    heard = time.monotonic()
                    yield event
                if not told and not self.active:
                    return
            except _PASSING:
                if time.monotonic() - heard > limits.PATIENCE:
                    raise
            if not told:
                time.sleep(limits.ASK_EVERY)

    def _events(self, after: Optional[str]) -> Iterator[dict[str, Any]]:
        headers = [("Accept", "application/x-ndjson")]
        if after is not None:
            headers.append(("Last-Event-ID", after))
        with self.conn.transport.request(
            "GET", self.path("/events"), headers, twice=True
        ) as answer:
            answer.wait_at_most(limits.SILENCE)
            while line := answer.read_line():
                if line.strip():
                    yield json.loads(line)


class Pipeline(_Started):
    """Jobs and other steps that follow each other. Made by `Connection.start_pipeline` and
    `Connection.pipeline`."""

    at = "/pipelines"

    def wait(
        self,
        timeout: Optional[float] = None,
        *,
        every: float = limits.ASK_EVERY,
        progress: Optional[Progress] = None,
    ) -> Pipeline:
        """Waits until it is done.

        Raises:
            JobAborted: it was aborted, also because a step has failed.
            RequestTimeout: it has not ended in so many seconds; it goes on.
        """
        ended = ("done", "aborted")
        shown = self._until(lambda shown: shown["status"] in ended, timeout, every, progress)
        if shown["status"] == "aborted":
            raise JobAborted(self.id, shown)
        return self

    def steps(self) -> dict[str, dict[str, Any]]:
        """Its steps, by name."""
        steps: dict[str, dict[str, Any]] = self.show()["steps"]
        return steps

    def output(self, step: str, name: str = "default") -> Any:
        """What a step gave. It must be done."""
        output = self.steps()[step]["outputs"].get(name)
        if output is None or output["status"] != "filled":
            raise MapringError(f"the step {step!r} of {self.id} has not given {name!r}")
        return output["value"]

    def job(self, step: str) -> Job:
        """The job of a step that has begun."""
        id = self.steps()[step].get("job_id")
        if id is None:
            raise MapringError(f"the step {step!r} of {self.id} has no job")
        return Job(self.conn, id)

    def approve(self, step: str) -> None:
        """Consents to a step that waits for it."""
        path = self.path(f"/steps/{quote(step, safe='')}/approve")
        with self.conn.transport.request("POST", path, (), b"", twice=True) as answer:
            answer.read(limits.ERROR_BYTES)


def listing(at: str, member: str, conn: Connection, given: Mapping[str, Any]) -> Iterator[Any]:
    """Everything of a list that comes in parts."""
    given = {name: value for name, value in given.items() if value is not None}
    cursor: Union[str, None] = None
    while True:
        options = given if cursor is None else {**given, "cursor": cursor}
        page = conn.get_json(f"{at}?{urlencode(options)}" if options else at)
        yield from page[member]
        cursor = page.get("cursor")
        if not cursor:
            return
