"""Objects, their values and their buckets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union
from urllib.parse import quote, unquote_plus

from . import datatypes, limits
from .datatypes import Datatype, MapChange, SetChange
from .errors import Conflict, MapringError, NotFound, SiblingsError
from .transport import Answer, Header

if TYPE_CHECKING:
    from datetime import datetime

    from .connection import Connection

#: A quorum: a number, or `"one"`, `"quorum"`, `"all"`, `"default"`.
Quorum = Union[int, str]

#: Terms of an object in an index: the name ends in `_int` or `_bin`.
Indexes = Mapping[str, Union[int, str, Iterable[Union[int, str]]]]


class Link(NamedTuple):
    """A link to another object."""

    bucket: str
    key: str
    tag: str


@dataclass(frozen=True)
class Value:
    """One value of an object, with all that belongs to it."""

    data: bytes
    content_type: str
    encoding: Optional[str] = None
    vtag: str = ""
    last_modified: Optional[datetime] = None
    links: tuple[Link, ...] = ()
    indexes: Mapping[str, tuple[Union[int, str], ...]] = field(default_factory=dict)
    meta: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The bytes as text, in the `charset` of the content type (UTF-8 without one)."""
        found = re.search(r'charset="?([^";\s]+)', self.content_type, re.IGNORECASE)
        return self.data.decode(found.group(1) if found else "utf-8")

    def json(self) -> Any:
        """The bytes as JSON."""
        return json.loads(self.data)

    @property
    def value(self) -> Any:
        """JSON decoded, text as `str`, anything else as bytes: by the content type."""
        kind = self.content_type.split(";")[0].strip().lower()
        if kind == "application/json" or kind.endswith("+json"):
            return self.json()
        return self.text if kind.startswith("text/") else self.data


@dataclass(frozen=True)
class Object:
    """An object as it was read: usually one value; several when writes had not seen each other."""

    bucket: Bucket
    key: str
    vclock: Optional[str]
    values: tuple[Value, ...]

    @property
    def one(self) -> Value:
        """The value, if it is the only one.

        Raises:
            SiblingsError: there are several; write one with the object's `vclock`.
        """
        if len(self.values) != 1:
            raise SiblingsError(
                f"{self.bucket.name}/{self.key} has {len(self.values)} values: choose or merge, "
                "and put the result with this object's vclock"
            )
        return self.values[0]

    @property
    def data(self) -> bytes:
        """The bytes of the only value."""
        return self.one.data

    @property
    def text(self) -> str:
        """The text of the only value."""
        return self.one.text

    @property
    def content_type(self) -> str:
        """The content type of the only value."""
        return self.one.content_type

    @property
    def value(self) -> Any:
        """The only value, decoded by its content type."""
        return self.one.value

    def json(self) -> Any:
        """The only value as JSON."""
        return self.one.json()

    def put(self, value: Any, **options: Any) -> Optional[Object]:
        """Writes what comes after what was read: in place of all values that are here."""
        return self.bucket.put(self.key, value, vclock=self.vclock, **options)

    def delete(self, **options: Any) -> bool:
        """Deletes what was read, and nothing that was written since."""
        return self.bucket.delete(self.key, vclock=self.vclock, **options)


def encode(value: Any, content_type: Optional[str]) -> tuple[bytes, str]:
    """A value's bytes and content type: bytes and text as they are, anything else as JSON."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), content_type or "application/octet-stream"
    if isinstance(value, str) and not (content_type or "").startswith("application/json"):
        return value.encode(), content_type or "text/plain; charset=utf-8"
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.encode(), content_type or "application/json"


def index_headers(indexes: Indexes) -> Iterator[Header]:
    """A header for each term. Around commas and at the ends, white space would be lost."""
    for name, terms in indexes.items():
        if not name.endswith(("_int", "_bin")):
            raise ValueError(f"the name of an index ends in _int or _bin: {name!r}")
        for term in [terms] if isinstance(terms, (int, str)) else terms:
            text = str(term)
            if text != text.strip() or re.search(r",\s", text):
                raise ValueError(f"a term that the HTTP interface cannot carry: {text!r}")
            yield f"X-Riak-Index-{name}", text.encode()


def meta_headers(meta: Mapping[str, str]) -> Iterator[Header]:
    """A header for each member."""
    for name, text in meta.items():
        yield f"X-Riak-Meta-{name}", text.encode()


def link_headers(links: Iterable[tuple[str, str, str]]) -> Iterator[Header]:
    """A header for each link."""
    for bucket, key, tag in links:
        target = f"/buckets/{quote(bucket, safe='')}/keys/{quote(key, safe='')}"
        yield "Link", f'<{target}>; riaktag="{quote(tag, safe="")}"'


_LINK = re.compile(r'<(?:/types/[^/>]+)?/buckets/([^/>]+)/keys/([^/>]+)>; *riaktag="([^"]*)"')


def read_value(data: bytes, headers: Mapping[str, list[str]]) -> Value:
    """A value from its bytes and its headers, whose names are in lower case."""
    indexes: dict[str, tuple[Union[int, str], ...]] = {}
    meta: dict[str, str] = {}
    for name, lines in headers.items():
        if name.startswith("x-riak-index-"):
            terms = re.split(r",\s", ", ".join(lines))
            index = name[len("x-riak-index-") :]
            whole = index.endswith("_int")
            indexes[index] = tuple(int(term) if whole else term.strip() for term in terms)
        elif name.startswith("x-riak-meta-"):
            meta[name[len("x-riak-meta-") :]] = ", ".join(lines)
    modified = headers.get("last-modified")
    encodings = headers.get("content-encoding")
    return Value(
        data=data,
        content_type=headers.get("content-type", ["application/octet-stream"])[0],
        encoding=encodings[0] if encodings else None,
        vtag=headers.get("etag", [""])[0].removeprefix("W/").strip('"'),
        last_modified=parsedate_to_datetime(modified[0]) if modified else None,
        links=tuple(
            Link(*(unquote_plus(part) for part in found.groups()))
            for line in headers.get("link", [])
            for found in _LINK.finditer(line)
        ),
        indexes=indexes,
        meta=meta,
    )


def read_parts(body: bytes, content_type: str) -> Iterator[Value]:
    """The values of a `multipart/mixed` answer. Bodies may be any bytes."""
    found = re.search(r'boundary="?([^";\s]+)', content_type)
    if found is None:
        raise MapringError(f"an answer with several values has no boundary: {content_type}")
    mark = b"\r\n--" + found.group(1).encode()
    for part in (b"\r\n" + body).split(mark)[1:]:
        if part.startswith(b"--"):
            return
        head, _, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        headers: dict[str, list[str]] = {}
        for line in head.split(b"\r\n"):
            name, _, text = line.partition(b":")
            headers.setdefault(name.decode().lower(), []).append(text.strip().decode())
        yield read_value(data, headers)
    raise MapringError("an answer with several values is cut off")


class Bucket:
    """A bucket of the cluster, of a bucket type if one is named. Making one asks nobody."""

    def __init__(self, connection: Connection, name: str, type: Optional[str] = None) -> None:
        if not name:
            raise ValueError("the name of a bucket is not empty")
        self.connection = connection
        self.name = name
        self.type = type
        root = f"/types/{quote(type, safe='')}" if type is not None else ""
        self._path = f"{root}/buckets/{quote(name, safe='')}"

    def __repr__(self) -> str:
        return f"Bucket({self.name!r})" if self.type is None else f"Bucket({self.inputs!r})"

    @property
    def inputs(self) -> Union[str, list[str]]:
        """The whole bucket as inputs of a query."""
        return self.name if self.type is None else [self.type, self.name]

    def _key(self, key: str) -> str:
        if not key:
            raise ValueError("a key is not empty")
        return f"{self._path}/keys/{quote(key, safe='')}"

    def get(
        self,
        key: str,
        *,
        r: Optional[Quorum] = None,
        pr: Optional[Quorum] = None,
        basic_quorum: Optional[bool] = None,
        notfound_ok: Optional[bool] = None,
        timeout: Optional[float] = None,
    ) -> Optional[Object]:
        """Reads an object; `None` where there is none.

        Raises:
            Unavailable: too few replicas answered to know.
        """
        options = {"r": r, "pr": pr, "basic_quorum": basic_quorum, "notfound_ok": notfound_ok}
        path = self.connection.path(self._key(key), options, timeout)
        accept = [("Accept", "multipart/mixed, */*;q=0.5")]
        try:
            answer = self.connection.transport.request(
                "GET", path, accept, twice=True, timeout=timeout
            )
        except NotFound:
            return None
        with answer:
            return self._read(key, answer)

    def _read(self, key: str, answer: Answer) -> Object:
        body = answer.read(limits.OBJECT_BYTES)
        values: tuple[Value, ...]
        if answer.status == 300:
            values = tuple(read_parts(body, answer.header("Content-Type")))
        else:
            names = {name.lower() for name in answer.headers}
            values = (read_value(body, {name: [answer.header(name)] for name in names}),)
        return Object(self, key, answer.header("X-Riak-Vclock") or None, values)

    def put(
        self,
        key: Optional[str],
        value: Any,
        *,
        content_type: Optional[str] = None,
        vclock: Optional[str] = None,
        indexes: Optional[Indexes] = None,
        links: Iterable[tuple[str, str, str]] = (),
        meta: Optional[Mapping[str, str]] = None,
        encoding: Optional[str] = None,
        w: Optional[Quorum] = None,
        dw: Optional[Quorum] = None,
        pw: Optional[Quorum] = None,
        if_absent: bool = False,
        if_unchanged: bool = False,
        return_body: bool = False,
        timeout: Optional[float] = None,
    ) -> Optional[Object]:
        """Writes an object. Bytes and text are stored as they are, anything else as JSON.

        `vclock` is that of the object that was read, which this write replaces. With `if_absent`
        nothing is written where something is; with `if_unchanged` only if the object's clock is
        still `vclock`. Without a key, the node makes one: then, and with `return_body`, the
        object comes back.

        Raises:
            Conflict: a condition does not hold; nothing was written.
        """
        if if_unchanged and vclock is None:
            raise ValueError("if_unchanged compares with a vclock: none was given")
        body, kind = encode(value, content_type)
        headers: list[Header] = [
            ("Content-Type", kind),
            ("Accept", "multipart/mixed, */*;q=0.5"),
            *index_headers(indexes or {}),
            *link_headers(links),
            *meta_headers(meta or {}),
        ]
        if encoding is not None:
            headers.append(("Content-Encoding", encoding))
        if vclock is not None:
            headers.append(("X-Riak-Vclock", vclock))
            if if_unchanged:
                headers.append(("X-Riak-If-Not-Modified", vclock))
        if if_absent:
            headers.append(("If-None-Match", "*"))
        back = return_body or key is None
        options = {"w": w, "dw": dw, "pw": pw, "returnbody": True if back else None}
        target = f"{self._path}/keys" if key is None else self._key(key)
        # Written twice, a condition would refuse what the first attempt wrote.
        twice = key is not None and not (if_absent or if_unchanged)
        try:
            answer = self.connection.transport.request(
                "POST" if key is None else "PUT",
                self.connection.path(target, options, timeout),
                headers,
                body,
                twice=twice,
                timeout=timeout,
            )
        except Conflict as error:
            # What the node says of it is a page for a browser.
            if key is None or not (if_absent or if_unchanged):
                raise
            why = "exists already" if if_absent else "was changed since it was read"
            raise Conflict(error.status, f"{self.name}/{key} {why}", error.node) from None
        with answer:
            if not back:
                return None
            made = answer.header("Location").rsplit("/", 1)[-1]
            return self._read(key if key is not None else unquote_plus(made), answer)

    def delete(
        self,
        key: str,
        *,
        vclock: Optional[str] = None,
        if_unchanged: bool = False,
        r: Optional[Quorum] = None,
        w: Optional[Quorum] = None,
        rw: Optional[Quorum] = None,
        timeout: Optional[float] = None,
    ) -> bool:
        """Deletes an object; `False` where there was none."""
        headers: list[Header] = []
        if vclock is not None:
            headers.append(("X-Riak-Vclock", vclock))
            if if_unchanged:
                headers.append(("X-Riak-If-Not-Modified", vclock))
        path = self.connection.path(self._key(key), {"r": r, "w": w, "rw": rw}, timeout)
        answer = self.connection.transport.request(
            "DELETE", path, headers, twice=not if_unchanged, timeout=timeout, allowed=(404,)
        )
        with answer:
            answer.read(limits.ERROR_BYTES)
            return answer.status != 404

    # --- data types: of a bucket type that has one; counters also without a bucket type -----------

    def datatype(
        self,
        key: str,
        *,
        r: Optional[Quorum] = None,
        pr: Optional[Quorum] = None,
        timeout: Optional[float] = None,
    ) -> Optional[Datatype]:
        """Reads a data type; `None` where nothing was done to it."""
        path = self.connection.path(self._datatype(key), {"r": r, "pr": pr}, timeout)
        try:
            with self.connection.transport.request(
                "GET", path, twice=True, timeout=timeout
            ) as answer:
                text = answer.read(limits.OBJECT_BYTES)
        except NotFound as error:
            # Else it is the bucket type that is not there.
            if error.text == "not found" or '"error":"notfound"' in error.text:
                return None
            raise
        return datatypes.read(text) if self.type is not None else Datatype("counter", int(text))

    def count(
        self,
        key: str,
        by: int = 1,
        *,
        w: Optional[Quorum] = None,
        dw: Optional[Quorum] = None,
        pw: Optional[Quorum] = None,
        timeout: Optional[float] = None,
    ) -> int:
        """Adds to a counter, and gives what it is then.

        Raises:
            ConnectionLost, RequestTimeout: it may have counted; again, it would count twice.
        """
        back = "returnvalue" if self.type is None else "returnbody"
        options = {"w": w, "dw": dw, "pw": pw, back: True}
        text = self._change(key, int(by), options, timeout)
        read = datatypes.read(text).value if self.type is not None else int(text)
        if not isinstance(read, int):
            raise MapringError(f"{self.name}/{key} is no counter")
        return read

    def change_set(
        self,
        key: str,
        *,
        add: Iterable[str] = (),
        remove: Iterable[str] = (),
        context: Optional[str] = None,
        w: Optional[Quorum] = None,
        dw: Optional[Quorum] = None,
        pw: Optional[Quorum] = None,
        timeout: Optional[float] = None,
    ) -> None:
        """Changes a set; `gset` and `hll` are only added to.

        With the `context` of a set that was read, what is removed goes as it was then; without one
        it has to be there.
        """
        told = datatypes.set_change(SetChange(add, remove))
        told.update({} if context is None else {"context": context})
        self._change(key, told, {"w": w, "dw": dw, "pw": pw}, timeout)

    def change_map(
        self,
        key: str,
        update: Optional[Mapping[str, Any]] = None,
        *,
        remove: Iterable[str] = (),
        context: Optional[str] = None,
        w: Optional[Quorum] = None,
        dw: Optional[Quorum] = None,
        pw: Optional[Quorum] = None,
        timeout: Optional[float] = None,
    ) -> None:
        """Changes a map: see `MapChange` for `update` and `remove`, `change_set` for `context`."""
        told = datatypes.map_change(MapChange(update or {}, remove))
        told.update({} if context is None else {"context": context})
        self._change(key, told, {"w": w, "dw": dw, "pw": pw}, timeout)

    def _datatype(self, key: str) -> str:
        if not key:
            raise ValueError("a key is not empty")
        kind = "counters" if self.type is None else "datatypes"
        return f"{self._path}/{kind}/{quote(key, safe='')}"

    def _change(
        self, key: str, change: Any, options: Mapping[str, Any], timeout: Optional[float]
    ) -> bytes:
        if self.type is None and not isinstance(change, int):
            raise ValueError("sets and maps lie in buckets of a bucket type")
        # Sent twice, it might be made twice.
        with self.connection.transport.request(
            "POST",
            self.connection.path(self._datatype(key), options, timeout),
            [("Content-Type", "application/json")],
            json.dumps(change).encode(),
            twice=False,
            timeout=timeout,
        ) as answer:
            return answer.read(limits.OBJECT_BYTES)

    def keys(self) -> Iterator[str]:
        """Every key, as they are found. It walks the whole cluster."""
        path = f"{self._path}/keys?keys=stream"
        return self.connection.listing(path, "keys")

    def props(self) -> dict[str, Any]:
        """The bucket's properties."""
        found: dict[str, Any] = self.connection.get_json(f"{self._path}/props")["props"]
        return found

    def set_props(self, **props: Any) -> None:
        """Changes properties of the bucket, such as `allow_mult=True`."""
        self.connection.put_json(f"{self._path}/props", {"props": props})

    def reset_props(self) -> None:
        """Gives the bucket the properties of its type again."""
        self.connection.transport.request("DELETE", f"{self._path}/props", twice=True).close()
