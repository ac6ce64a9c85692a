"""What can go wrong, as exceptions. All of them are a `MapringError`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional


class MapringError(Exception):
    """Whatever this package raises for what went wrong outside of the program that uses it."""


class Unreachable(MapringError):
    """No node could be asked. `attempts` has what happened at each of them."""

    def __init__(self, attempts: list[tuple[str, str]]) -> None:
        self.attempts = attempts
        told = "; ".join(f"{node}: {what}" for node, what in attempts)
        super().__init__(f"no node could be asked: {told}")


class RequestTimeout(MapringError):
    """A request took longer than it was given. Whether a write was made is not known."""


class ConnectionLost(MapringError):
    """The connection broke after the request was sent. Whether a write was made is not known."""


class AnswerTooLarge(MapringError):
    """An answer is larger than its limit; a stream (`mapred_stream`) has none."""


class HttpError(MapringError):
    """A node answered with a status that is no success: `status`, `text`, `node`.

    `problems` has everything that is wrong with a document of a job, as `(field, message)`.
    """

    def __init__(self, status: int, text: str, node: str) -> None:
        self.status = status
        self.text = text
        self.node = node
        self.problems = _problems(text)
        told = "; ".join(f"{field}: {what}" if field else what for field, what in self.problems)
        super().__init__(f"{status} from {node}: {told or text}")


def _problems(text: str) -> list[tuple[str, str]]:
    """What is wrong with a document, where an answer tells that in JSON."""
    try:
        answer = json.loads(text)
    except ValueError:
        return []
    if not isinstance(answer, dict) or "message" not in answer:
        return []
    problems = answer.get("problems") or [answer]
    return [(str(one.get("field") or ""), str(one.get("message"))) for one in problems]


class BadRequest(HttpError):
    """400: the request makes no sense to the node; the text says which part."""


class NotFound(HttpError):
    """404: no such object, bucket type, query or path."""


class Conflict(HttpError):
    """409 or 412: a condition does not hold, and nothing was written."""


class TooLarge(HttpError):
    """413: the body is larger than the node takes; nothing was written."""


class TooMany(HttpError):
    """429: there are as many jobs as may be; some end meanwhile."""


class Unavailable(HttpError):
    """503: too few replicas, overload, or a node that starts or stops."""


def http_error(status: int, text: str, node: str) -> HttpError:
    """The exception for a status."""
    kinds: dict[int, type[HttpError]] = {
        400: BadRequest,
        404: NotFound,
        409: Conflict,
        412: Conflict,
        413: TooLarge,
        429: TooMany,
        503: Unavailable,
    }
    return kinds.get(status, HttpError)(status, text.strip(), node)


class SiblingsError(MapringError):
    """An object has several values where one was asked for."""


class QueryError(MapringError):
    """A query failed.

    `phase` is the number of the phase, `error` the words, `type` the cause as the documentation
    of MapReduce lists it, `bucket` and `key` those of the input that a map function failed at,
    `input` its JSON, `stack` the JavaScript stack, `node` the node. What is not known is `None`.
    `details` is the whole error as it came. `line` is a place in Python (`file:line`), where the
    function was written in Python and the stack tells.
    """

    def __init__(self, details: Mapping[str, Any], line: Optional[str] = None) -> None:
        self.details = dict(details)
        self.phase: Optional[int] = details.get("phase")
        self.error: str = str(details.get("error", details))
        self.type: Optional[str] = details.get("type")
        self.bucket: Optional[str] = details.get("bucket")
        self.key: Optional[str] = details.get("key")
        self.input: Optional[str] = details.get("input")
        self.stack: Optional[str] = details.get("stack")
        self.node: Optional[str] = details.get("node")
        self.line = line
        super().__init__(self._told())

    def _told(self) -> str:
        told = self.error
        if self.line is not None:
            told += f", at {self.line}"
        where = []
        if self.phase is not None:
            where.append(f"phase {self.phase}")
        if self.bucket is not None and self.key is not None:
            where.append(f"object {self.bucket}/{self.key}")
        elif self.input is not None:
            where.append(f"input {self.input}")
        if self.node is not None:
            where.append(f"node {self.node}")
        return f"{told} ({', '.join(where)})" if where else told


class QueryTimeout(QueryError):
    """A query's own deadline passed."""


class JobError(MapringError):
    """A job or a pipeline ended otherwise than well. `id` is its id, `details` all that is shown of
    it."""

    what = "ended"

    def __init__(self, id: str, details: Mapping[str, Any]) -> None:
        self.id = id
        self.details = dict(details)
        error = details.get("error") or details.get("abort_message")
        if isinstance(error, Mapping):
            error = error.get("error", error)
        super().__init__(f"{id} {self.what}" if error is None else f"{id} {self.what}: {error}")


class JobFailed(JobError):
    """A job failed: `details["error"]` says at what."""

    what = "failed"


class JobAborted(JobError):
    """A job or a pipeline was aborted."""

    what = "was aborted"


class TranslationError(MapringError):
    """A Python function cannot become JavaScript: `filename`, `line`, `reason`."""

    def __init__(self, reason: str, filename: str, line: Optional[int]) -> None:
        self.reason = reason
        self.filename = filename
        self.line = line
        where = filename if line is None else f"{filename}:{line}"
        super().__init__(f"{where}: {reason}")
