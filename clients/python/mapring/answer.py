"""Answers of queries: lists of results, and streams of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Callable, Optional

from . import limits
from .errors import ConnectionLost, MapringError, QueryError, QueryTimeout
from .frames import frame

if TYPE_CHECKING:
    import pandas

    from .transport import Answer

#: Finds a place in Python for a JavaScript stack: `(phase, stack) -> "file:line"`.
Locate = Callable[[Optional[int], str], Optional[str]]


def query_error(details: dict[str, Any], locate: Optional[Locate] = None) -> QueryError:
    """The exception for a query's error as JSON."""
    line = None
    if locate is not None and details.get("stack"):
        line = locate(details.get("phase"), str(details["stack"]))
    kind = QueryTimeout if details.get("error") == "timeout" else QueryError
    return kind(details, line)


class Results(list[Any]):
    """The results of a query: a list, with what else was told.

    `query_id` is the query's, `skipped` the number of inputs that were left out, `profile` what
    each phase cost if it was asked for.
    """

    query_id: str = ""
    skipped: int = 0
    profile: Optional[dict[str, Any]] = None

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame: pairs become the columns `key` and `value`, objects a column for each
        member, anything else the column `value`."""
        return frame(self)


class ResultStream:
    """The results of a query as they come: iterate over `(phase, values)`.

    Leave it early, by `close()` or a `with`, and the query ends on all nodes. While it runs,
    `progress` is what was told last; `skipped` has the inputs that were left out (the first of
    them, and `skipped_count` their number); `profile` and `done` come at the end. A stream
    belongs to one thread.
    """

    #: Left-out inputs that are kept; of more, the number is known.
    KEPT_SKIPPED = 1000

    def __init__(self, answer: Answer, locate: Optional[Locate] = None) -> None:
        self.query_id = answer.header("X-Query-Id")
        self.node = answer.node.url
        self.progress: dict[str, Any] = {}
        self.skipped: list[dict[str, Any]] = []
        self.skipped_count = 0
        self.profile: Optional[dict[str, Any]] = None
        self.done: Optional[dict[str, Any]] = None
        self._answer = answer
        self._locate = locate
        answer.wait_at_most(limits.SILENCE)

    def __enter__(self) -> ResultStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[tuple[int, list[Any]]]:
        return self

    def __next__(self) -> tuple[int, list[Any]]:
        while self.done is None:
            line = self._line()
            if "error" in line:
                self.close()
                raise query_error(line, self._locate)
            if "data" in line:
                return line.get("phase", 0), line["data"]
            self._note(line)
        self.close()
        raise StopIteration

    def values(self) -> Iterator[Any]:
        """Each result by itself, of whatever phase."""
        for _, values in self:
            yield from values

    def close(self) -> None:
        """Ends the query, if it still runs."""
        self._answer.close()

    def to_pandas(self, most: int = limits.FRAME_ROWS) -> pandas.DataFrame:
        """A data frame of what is still to come, of at most so many rows."""
        rows: list[Any] = []
        with self:
            for value in self.values():
                if len(rows) == most:
                    raise MapringError(f"more than {most} rows came: say how many are wanted")
                rows.append(value)
        return frame(rows)

    def _line(self) -> dict[str, Any]:
        try:
            text = b"\n"
            # An empty line only says that the node is there.
            while text == b"\n":
                text = self._answer.read_line()
        except BaseException:
            self.close()
            raise
        if not text.endswith(b"\n"):
            self.close()
            raise ConnectionLost(f"{self.node} ended the answer before the query was done")
        line = json.loads(text)
        if not isinstance(line, dict):
            raise MapringError(f"not a line of an answer: {text[:200]!r}")
        return line

    def _note(self, line: dict[str, Any]) -> None:
        if "progress" in line:
            self.progress = line["progress"]
        elif "skipped" in line:
            left_out = line["skipped"]
            self.skipped_count += line.get("skipped_count", len(left_out))
            self.skipped.extend(left_out[: self.KEPT_SKIPPED - len(self.skipped)])
        elif "profile" in line:
            self.profile = line["profile"]
        elif "done" in line:
            self.done = line["done"]
            # The end of the body, so that the connection can be used again.
            self._answer.read_line()
