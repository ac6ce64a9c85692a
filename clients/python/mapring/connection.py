"""A connection to a cluster: objects, queries, jobs, and what runs."""

from __future__ import annotations

import codecs
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional, Union
from urllib.parse import quote, urlencode

from . import limits
from .answer import Locate, Results, ResultStream, query_error
from .errors import ConnectionLost, HttpError, MapringError
from .jobs import Job, Pipeline, listing
from .objects import Bucket
from .query import Inputs, document
from .transport import Answer, Transport


def connect(url: Union[str, Sequence[str]], *, timeout: float = limits.TIMEOUT) -> Connection:
    """A connection to a cluster, by the address of one node or of several.

    Of several, the next is asked when one cannot be reached or stops. `timeout` is in seconds
    and counts for each request, also on the node; methods take another one. Nothing is sent yet.
    Threads may share a connection.
    """
    return Connection([url] if isinstance(url, str) else list(url), timeout)


class Connection:
    """A cluster as a program sees it. Made by `connect`."""

    def __init__(self, urls: Sequence[str], timeout: float = limits.TIMEOUT) -> None:
        self.transport = Transport(urls, timeout)
        self.timeout = timeout

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes idle connections. It may be used further."""
        self.transport.close()

    # --- objects ----------------------------------------------------------------------------------

    def bucket(self, name: str, type: Optional[str] = None) -> Bucket:
        """A bucket, of a bucket type if one is named."""
        return Bucket(self, name, type)

    def buckets(self, type: Optional[str] = None) -> Iterator[str]:
        """The names of all buckets, as they are found. It walks the whole cluster."""
        root = f"/types/{quote(type, safe='')}" if type is not None else ""
        return self.listing(f"{root}/buckets?buckets=stream", "buckets")

    def bucket_types(self) -> list[str]:
        """The names of all bucket types."""
        names: list[str] = self.get_json("/admin/bucket-types")["bucket_types"]
        return names

    def create_bucket_type(self, name: str, **props: Any) -> None:
        """Creates a bucket type; its properties cannot all be changed later."""
        self.put_json(f"/admin/bucket-types/{quote(name, safe='')}", {"props": props})

    def bucket_type_props(self, name: str) -> dict[str, Any]:
        """The properties of a bucket type."""
        found: dict[str, Any] = self.get_json(f"/types/{quote(name, safe='')}/props")["props"]
        return found

    def ping(self) -> bool:
        """Whether a node answers."""
        try:
            with self.transport.request("GET", "/ping", twice=True) as answer:
                return answer.read(limits.ERROR_BYTES).strip() == b"OK"
        except MapringError:
            return False

    # --- hashes: a bucket under the names that a hash has in Redis --------------------------------

    def hset(self, name: str, key: Any, value: Any) -> None:
        """Stores a text (or the text of a number) under a key of a bucket."""
        if not isinstance(value, (str, bytes, int, float)) or isinstance(value, bool):
            raise TypeError(f"hset stores text, bytes and numbers: {type(value).__name__}")
        bucket = self.bucket(name)
        found = bucket.get(str(key))
        text = value if isinstance(value, (str, bytes)) else repr(value)
        bucket.put(str(key), text, vclock=found.vclock if found else None)

    def hget(self, name: str, key: Any) -> Optional[str]:
        """The text under a key of a bucket, or `None`."""
        found = self.bucket(name).get(str(key))
        return None if found is None else found.text

    def hkeys(self, name: str) -> list[str]:
        """The keys of a bucket. `bucket(name).keys()` gives them as they are found."""
        return list(self.bucket(name).keys())

    def hdel(self, name: str, *keys: Any) -> int:
        """Deletes keys of a bucket, and tells how many there were."""
        return sum(self.bucket(name).delete(str(key)) for key in keys)

    # --- queries ----------------------------------------------------------------------------------

    def mapred(
        self,
        inputs: Inputs,
        query: Optional[Sequence[Mapping[str, Any]]] = None,
        *,
        timeout: Optional[float] = None,
        max_bytes: int = limits.ANSWER_BYTES,
        locate: Optional[Locate] = None,
        **options: Any,
    ) -> Any:
        """Runs a query and gives its answer: a list of results, or of lists where several phases
        are kept; an object where `output` asks for one.

        `inputs` and `query` are JSON as the documentation has it, or made by the functions of
        `mapring.query`; a whole document may stand for both. Other options (`limit=10`,
        `on_error={"mode": "skip"}`, `output={…}`) go beside them.

        Raises:
            QueryError: the query failed; it says where.
            AnswerTooLarge: the answer has more than `max_bytes`: `mapred_stream` has no limit.
        """
        seconds = self.timeout if timeout is None else timeout
        made = document(inputs, query, seconds, options)
        with self._post(made, "application/json", "", locate) as answer:
            body = answer.read(max_bytes)
            found = json.loads(body)
            query_id = answer.header("X-Query-Id")
            skipped = answer.header("X-Query-Skipped")
        profile = None
        if made.get("profile") is True and isinstance(found, dict) and "results" in found:
            found, profile = found["results"], found.get("profile")
        if not isinstance(found, list):
            return found
        results = Results(found)
        results.query_id = query_id
        results.skipped = int(skipped) if skipped.isdigit() else 0
        results.profile = profile
        return results

    def mapred_stream(
        self,
        inputs: Inputs,
        query: Optional[Sequence[Mapping[str, Any]]] = None,
        *,
        timeout: Optional[float] = None,
        locate: Optional[Locate] = None,
        **options: Any,
    ) -> ResultStream:
        """Runs a query and gives its results as they come: `for phase, values in stream`.

        However large the answer, the node and this program hold little of it. What goes wrong
        later is a `QueryError` while iterating.
        """
        seconds = self.timeout if timeout is None else timeout
        made = document(inputs, query, seconds, options)
        answer = self._post(made, "application/x-ndjson", "?chunked=true", locate)
        return ResultStream(answer, locate)

    def explain(
        self, inputs: Inputs, query: Optional[Sequence[Mapping[str, Any]]] = None, **options: Any
    ) -> dict[str, Any]:
        """The plan of a query, which is not run."""
        plan: dict[str, Any] = self.mapred(inputs, query, explain=True, **options)["explain"]
        return plan

    def profile(
        self, inputs: Inputs, query: Optional[Sequence[Mapping[str, Any]]] = None, **options: Any
    ) -> dict[str, Any]:
        """Runs a query, drops its results, and tells what each phase cost on each node."""
        with self.mapred_stream(inputs, query, profile=True, **options) as stream:
            for _ in stream:
                pass
            if stream.profile is None:
                raise MapringError(f"{stream.node} told no profile")
            return stream.profile

    def queries(self) -> dict[str, Any]:
        """What runs on all nodes: `queries`, and the nodes that did not answer."""
        return self.get_json("/admin/queries")

    def query(self, query_id: str) -> dict[str, Any]:
        """One of the queries that run."""
        return self.get_json(f"/admin/queries/{quote(query_id, safe='')}")

    def end_query(self, query_id: str) -> bool:
        """Ends a query, on whichever node it is; `False` when it is not under way."""
        path = f"/admin/queries/{quote(query_id, safe='')}"
        with self.transport.request("DELETE", path, twice=True, allowed=(404,)) as answer:
            answer.read(limits.ERROR_BYTES)
            return answer.status != 404

    # --- jobs -------------------------------------------------------------------------------------

    def start_job(
        self, document: Mapping[str, Any], *, id: Optional[str] = None, key: Optional[str] = None
    ) -> Job:
        """Starts a job: its document, or `{"config": name, "params": {…}}` for one by name.

        However often it is asked with the same `id` (its id) or `key` (any text), it is started
        once. What is sent again because a node was lost never starts a second one.

        Raises:
            BadRequest: `problems` has everything that is wrong with the document.
            NotFound: there is no job of that name.
            Conflict: another job has that id or key.
        """
        return Job(self, self._start("/jobs", document, id, key))

    def dry_run_job(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """What a job would be divided into; nothing is started."""
        headers = [("Content-Type", "application/json")]
        body = json.dumps(document, allow_nan=False).encode()
        path = "/jobs?dry_run=true"
        with self.transport.request("POST", path, headers, body, twice=True) as answer:
            planned: dict[str, Any] = json.loads(answer.read(limits.ANSWER_BYTES))
        return planned

    def job(self, id: str) -> Job:
        """A job by its id, whoever started it. Nothing is asked yet."""
        return Job(self, id)

    def jobs(
        self, *, state: Optional[str] = None, name: Optional[str] = None
    ) -> Iterator[dict[str, Any]]:
        """The jobs, the newest first, as they are listed."""
        return listing("/jobs", "jobs", self, {"state": state, "name": name})

    def job_configs(self) -> list[dict[str, Any]]:
        """What can be started by name, each with its parameters."""
        return self._pages("/job-configs", "configs")

    def put_job_config(self, name: str, config: Mapping[str, Any]) -> None:
        """Stores a job that can be started by name."""
        self.put_json(f"/job-configs/{quote(name, safe='')}", config)

    def remove_job_config(self, name: str) -> None:
        """Removes a job that can be started by name."""
        self._delete(f"/job-configs/{quote(name, safe='')}")

    def schedules(self) -> list[dict[str, Any]]:
        """What is started by the clock."""
        return self._pages("/schedules", "schedules")

    def _pages(self, path: str, member: str) -> list[dict[str, Any]]:
        """All entries of a list that comes in pages."""
        entries: list[dict[str, Any]] = []
        cursor: Optional[str] = None
        while True:
            at = path if cursor is None else f"{path}?cursor={quote(cursor, safe='')}"
            page = self.get_json(at)
            entries.extend(page[member])
            cursor = page.get("cursor")
            if cursor is None:
                return entries

    def put_schedule(self, name: str, schedule: Mapping[str, Any]) -> None:
        """Has a job started by the clock: `{"cron": "0 3 * * *", "job": {…}}`."""
        self.put_json(f"/schedules/{quote(name, safe='')}", schedule)

    def remove_schedule(self, name: str) -> None:
        """Has it started no more."""
        self._delete(f"/schedules/{quote(name, safe='')}")

    def start_pipeline(
        self, document: Mapping[str, Any], *, id: Optional[str] = None, key: Optional[str] = None
    ) -> Pipeline:
        """Starts a pipeline; otherwise as `start_job`."""
        return Pipeline(self, self._start("/pipelines", document, id, key))

    def pipeline(self, id: str) -> Pipeline:
        """A pipeline by its id. Nothing is asked yet."""
        return Pipeline(self, id)

    def pipelines(self, *, name: Optional[str] = None) -> Iterator[dict[str, Any]]:
        """The pipelines, the newest first, as they are listed."""
        return listing("/pipelines", "pipelines", self, {"name": name})

    def _start(
        self, at: str, document: Mapping[str, Any], id: Optional[str], key: Optional[str]
    ) -> str:
        headers = [("Content-Type", "application/json")]
        body = json.dumps(document, allow_nan=False).encode()
        method, path = "POST", at
        if id is not None:
            method, path = "PUT", f"{at}/{quote(id, safe='')}"
        else:
            headers.append(("Idempotency-Key", uuid.uuid4().hex if key is None else key))
        with self.transport.request(method, path, headers, body, twice=True) as answer:
            started: str = json.loads(answer.read(limits.ERROR_BYTES))["id"]
        return started

    def _delete(self, path: str) -> None:
        with self.transport.request("DELETE", path, twice=True) as answer:
            answer.read(limits.ERROR_BYTES)

    def _post(
        self, made: dict[str, Any], accept: str, options: str, locate: Optional[Locate]
    ) -> Answer:
        body = json.dumps(made, allow_nan=False).encode()
        headers = [("Content-Type", "application/json"), ("Accept", accept)]
        milliseconds = made["timeout"]
        seconds = milliseconds / 1000 if isinstance(milliseconds, (int, float)) else self.timeout
        # A query that stores its results may have done so before the connection broke.
        output = made.get("output")
        stores = isinstance(output, Mapping) and "bucket" in output
        try:
            return self.transport.request(
                "POST",
                f"/mapred{options}",
                headers,
                body,
                twice=not stores,
                timeout=seconds,
            )
        except HttpError as error:
            details = _details(error.text)
            if details is None:
                raise
            details.setdefault("node", error.node)
            raise query_error(details, locate) from None

    # --- what the parts above are made of ---------------------------------------------------------

    def path(self, path: str, options: Mapping[str, Any], timeout: Optional[float]) -> str:
        """A path with its parameters; the node gets the time that the request has."""
        given = {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in options.items()
            if value is not None
        }
        seconds = self.timeout if timeout is None else timeout
        given["timeout"] = str(max(1, round(seconds * 1000)))
        return f"{path}?{urlencode(given)}"

    def get_json(self, path: str) -> dict[str, Any]:
        """A JSON object from a path."""
        with self.transport.request("GET", path, twice=True) as answer:
            found = json.loads(answer.read(limits.ANSWER_BYTES))
        if not isinstance(found, dict):
            raise MapringError(f"{path} gave no object")
        return found

    def put_json(self, path: str, value: Mapping[str, Any]) -> None:
        """Sends a JSON object to a path."""
        headers = [("Content-Type", "application/json")]
        body = json.dumps(value).encode()
        with self.transport.request("PUT", path, headers, body, twice=True) as answer:
            answer.read(limits.ERROR_BYTES)

    def listing(self, path: str, member: str) -> Iterator[str]:
        """The names of a listing that comes as JSON objects one after the other."""
        with self.transport.request("GET", path, twice=True) as answer:
            answer.wait_at_most(self.timeout + limits.GRACE)
            decoder = json.JSONDecoder()
            bytes_to_text = codecs.getincrementaldecoder("utf-8")()
            text = ""
            while True:
                some = answer.read_some()
                text += bytes_to_text.decode(some, final=not some)
                at = 0
                while at < len(text):
                    try:
                        part, at = decoder.raw_decode(text, at)
                    except ValueError:
                        break
                    if "error" in part:
                        raise MapringError(f"the listing failed: {part['error']}")
                    yield from part[member]
                text = text[at:]
                if not some:
                    break
                if len(text) > limits.LINE_BYTES:
                    raise MapringError("a listing holds a part that is too large")
            if text.strip():
                raise ConnectionLost(f"the listing ended within a part: {text[:200]!r}")


def _details(text: str) -> Optional[dict[str, Any]]:
    """A query's error, where the answer is one."""
    try:
        details = json.loads(text)
    except ValueError:
        return None
    return details if isinstance(details, dict) else None
