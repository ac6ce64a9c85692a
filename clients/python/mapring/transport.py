"""Requests to any of several nodes: connections that are kept, and what is tried again.

A request goes to the node that answered last; one that cannot be reached rests a while. What may
be sent twice (it only reads, or it says itself what is to be there) goes to the next node when a
connection breaks; anything else only if nothing of it can have been taken.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Optional, Union
from urllib.parse import urlsplit

from . import limits
from .errors import (
    AnswerTooLarge,
    ConnectionLost,
    MapringError,
    RequestTimeout,
    Unreachable,
    http_error,
)

Header = tuple[str, Union[str, bytes]]

#: Python 3.9 has two kinds.
_TIMEOUTS = (TimeoutError, socket.timeout)


class Node:
    """A node's address, and its idle connections."""

    def __init__(self, url: str) -> None:
        if "//" not in url:
            url = f"http://{url}"
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not the address of a node: {url!r} (http://host:port)")
        if parts.username or parts.password or parts.query or parts.path.strip("/"):
            raise ValueError(f"an address is http://host:port and nothing else: {url!r}")
        self.host = parts.hostname
        self.tls = parts.scheme == "https"
        self.port = parts.port or (443 if self.tls else 8098)
        host = f"[{self.host}]" if ":" in self.host else self.host
        self.url = f"{parts.scheme}://{host}:{self.port}"
        self.rests_until = 0.0
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []
        self._lock = threading.Lock()

    def take(self) -> Optional[http.client.HTTPConnection]:
        """An idle connection that still seems to be open."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                since, connection = self._idle.pop()
            if time.monotonic() - since < limits.IDLE_SECONDS and not _has_ended(connection):
                return connection
            connection.close()

    def open(self, timeout: float) -> http.client.HTTPConnection:
        """A new connection."""
        wait = min(timeout, limits.CONNECT_TIMEOUT)
        connection: http.client.HTTPConnection
        if self.tls:
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(
                self.host, self.port, timeout=wait, context=context
            )
        else:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=wait)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def give_back(self, connection: http.client.HTTPConnection) -> None:
        """Keeps a connection whose answer was read to its end."""
        with self._lock:
            if len(self._idle) < limits.IDLE_CONNECTIONS:
                self._idle.append((time.monotonic(), connection))
                return
        connection.close()

    def close(self) -> None:
        """Closes what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()


def _has_ended(connection: http.client.HTTPConnection) -> bool:
    """Whether the other side has closed an idle connection: then there is something to read."""
    if connection.sock is None:
        return True
    try:
        poll = select.poll()
        poll.register(connection.sock, select.POLLIN)
        return bool(poll.poll(0))
    except (AttributeError, OSError, ValueError):
        return True


class Answer:
    """An answer whose body has not been read yet. Close it, or use it in a `with`."""

    def __init__(
        self, node: Node, connection: http.client.HTTPConnection, raw: http.client.HTTPResponse
    ) -> None:
        self.node = node
        self.status = raw.status
        self.headers = raw.headers
        self._connection: Optional[http.client.HTTPConnection] = connection
        self._raw = raw

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def header(self, name: str, default: str = "") -> str:
        """A header's text; bytes beyond ASCII are UTF-8."""
        values = self.headers.get_all(name)
        if values is None:
            return default
        return ", ".join(_utf8(value) for value in values)

    def read(self, most: int) -> bytes:
        """The whole body, of at most so many bytes."""
        try:
            body = self._raw.read(most + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error
        if len(body) > most:
            raise AnswerTooLarge(
                f"the answer of {self.node.url} is larger than {most} bytes: read it as a stream, "
                "or give a larger max_bytes"
            )
        return body

    def read_some(self) -> bytes:
        """What has come, or `b""` at the end."""
        try:
            return self._raw.read1(limits.READ_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error

    def read_line(self) -> bytes:
        """A line with its end, or `b""` at the end."""
        try:
            line = self._raw.readline(limits.LINE_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error
        if len(line) > limits.LINE_BYTES:
            raise AnswerTooLarge(f"a line of more than {limits.LINE_BYTES} bytes came")
        return line

    def wait_at_most(self, seconds: float) -> None:
        """How long a read may take from now on."""
        if self._connection is not None and self._connection.sock is not None:
            self._connection.sock.settimeout(seconds)

    def close(self) -> None:
        """Keeps the connection if all was read, else ends it (and with it, a query)."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._raw.length == 0:
            self._raw.read()
        if self._raw.isclosed() and not self._raw.will_close:
            self.node.give_back(connection)
            return
        self._raw.close()
        connection.close()

    def _broken(self, error: Exception) -> MapringError:
        if isinstance(error, _TIMEOUTS):
            return RequestTimeout(f"{self.node.url} sent nothing any more")
        return ConnectionLost(f"the connection to {self.node.url} broke: {_words(error)}")


def _utf8(value: str) -> str:
    return value.encode("latin-1", "replace").decode("utf-8", "replace")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


class Transport:
    """Sends requests to nodes. Threads may share it."""

    def __init__(self, urls: Sequence[str], timeout: float) -> None:
        if not urls:
            raise ValueError("no node was named")
        self.nodes = [Node(url) for url in urls]
        self.timeout = timeout
        self._first = 0

    def request(
        self,
        method: str,
        path: str,
        headers: Iterable[Header] = (),
        body: Optional[bytes] = None,
        *,
        twice: bool,
        timeout: Optional[float] = None,
        allowed: Sequence[int] = (),
    ) -> Answer:
        """Sends a request and gives the answer, with its body unread.

        `twice` says whether it may be sent again when a connection broke. Statuses from 400 on
        are an `HttpError`, but for those that are `allowed`.
        """
        seconds = self.timeout if timeout is None else timeout
        ends = time.monotonic() + seconds + limits.GRACE
        attempts: list[tuple[str, str]] = []
        lines = list(headers)
        for node in self._in_order():
            left = ends - time.monotonic()
            if left <= 0:
                break
            answer = self._ask(node, method, path, lines, body, twice, left, attempts)
            if answer is None:
                continue
            if answer.status < 400 or answer.status in allowed:
                self._first = self.nodes.index(node)
                return answer
            with answer:
                text = answer.read(limits.ERROR_BYTES).decode("utf-8", "replace")
            if answer.status == 503 and ("is stopping" in text or "starting" in text):
                attempts.append((node.url, text.strip()))
                continue
            raise http_error(answer.status, text, node.url)
        raise Unreachable(attempts)

    def close(self) -> None:
        """Closes idle connections."""
        for node in self.nodes:
            node.close()

    def _in_order(self) -> list[Node]:
        """The node that answered last first, those that rest at the end."""
        order = self.nodes[self._first :] + self.nodes[: self._first]
        now = time.monotonic()
        return sorted(order, key=lambda node: node.rests_until > now)

    def _ask(
        self,
        node: Node,
        method: str,
        path: str,
        headers: list[Header],
        body: Optional[bytes],
        twice: bool,
        left: float,
        attempts: list[tuple[str, str]],
    ) -> Optional[Answer]:
        """One node's answer, or `None` when the next may be asked."""
        connection = node.take()
        used = connection is not None
        try:
            connection = connection or node.open(left)
        except OSError as error:
            node.rests_until = time.monotonic() + limits.REST
            attempts.append((node.url, _words(error)))
            return None
        connection.sock.settimeout(left)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            return Answer(node, connection, connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            attempts.append((node.url, _words(error)))
            if isinstance(error, _TIMEOUTS):
                raise RequestTimeout(f"{node.url} did not answer in time") from error
            if not twice:
                raise ConnectionLost(
                    f"the connection to {node.url} broke before an answer came: {_words(error)}"
                ) from error
            if used:
                node.close()
                return self._ask(node, method, path, headers, body, twice, left, attempts)
            node.rests_until = time.monotonic() + limits.REST
            return None
