"""Every operation of the client `openriak` against a node: run.py URL.

A line for each: `ok NAME` or `failed NAME: REASON`. An operation of which nothing is said here fails.
"""

import asyncio
import inspect
import json
import sys
import urllib.request

from openriak import client as generated
from openriak import models
from openriak.config import Config
from smithy_core.documents import Document

# Of a call, in seconds.
LIMIT = 10
TYPE, BUCKET = "openriak", "openriak"
TEXT = {"content_type": "text/plain", "body": b"hello"}
JSON = "application/json"
SETS = {"bucket_type": "openriak_sets", "bucket": "sets"}
COUNTERS = {"bucket_type": "openriak_counters", "bucket": "counters"}
WORDS = {"index_name": "t_bin", "start_term": "a", "end_term": "z"}
QUERY = [{"map": {"language": "javascript", "name": "Riak.mapValues"}}]


class Wrong(Exception):
    """An answer is not what was to come."""


def want(found, expected):
    if found != expected:
        raise Wrong(f"{found!r} and not {expected!r}")


def want_in(part, whole):
    if part not in whole:
        raise Wrong(f"no {part!r} in {whole!r}")


def put(url, path, body, headers):
    """Prepares something without the client."""
    request = urllib.request.Request(url + path, body, headers, method="PUT")
    try:
        urllib.request.urlopen(request, timeout=LIMIT).close()
    except urllib.error.HTTPError as error:
        print(f"PUT {path}: {error.read().decode()}", file=sys.stderr)


def prepare(url):
    for name, properties in {
        TYPE: {},
        SETS["bucket_type"]: {"datatype": "set"},
        COUNTERS["bucket_type"]: {"datatype": "counter"},
    }.items():
        body = json.dumps({"props": properties}).encode()
        put(url, f"/admin/bucket-types/{name}", body, {"Content-Type": JSON})
    allow_mult = b'{"props":{"allow_mult":true}}'
    put(url, "/buckets/counters/props", allow_mult, {"Content-Type": JSON})
    headers = {
        "Content-Type": "text/plain",
        "X-Riak-Index-n_int": "7",
        "X-Riak-Index-t_bin": "word",
        "Link": f'</buckets/{BUCKET}/keys/next>; riaktag="t"',
    }
    for place in (f"/buckets/{BUCKET}/keys", f"/types/{TYPE}/buckets/{BUCKET}/keys"):
        for key in ("there", "goes", "next"):
            put(url, f"{place}/{key}", b"hello", headers)
    put(url, f"/riak/{BUCKET}/goes_too", b"hello", {"Content-Type": "text/plain"})


# --- what answers must hold: functions of the output and of its body, read -------------------------


def nothing(_, __):
    """That there is an answer at all is enough."""


def hello(_, body):
    want(body, b"hello")


def created(output, body):
    want_in("/keys/", output.location)
    if body is not None:
        want(body, b"hello")


def found(output, _):
    want(output.content_type, "text/plain")
    if not output.etag or not output.last_modified:
        raise Wrong("no ETag or no Last-Modified")
    want_in("Vclock", output.riak_headers)


def indexed(output, _):
    want(output.riak_headers.get("index-n_int"), "7")


def keys(_, body):
    want_in("there", body["keys"])


def streamed_keys(_, body):
    want_in(b'"there"', body)


def buckets(_, body):
    want_in(BUCKET, body["buckets"])


def streamed_buckets(_, body):
    want_in(f'"{BUCKET}"'.encode(), body)


def props(_, body):
    want_in("n_val", body["props"])


def values(_, body):
    want(body, ["hello"])


def parts(_, body):
    want_in(b'"data":["hello"]', body)


def walked(_, body):
    want_in(b"hello", body)


def counted(_, body):
    want(str(body), "5")


def datatype(_, body):
    want_in("type", body)


def documents(_, body):
    want_in(b"{", bytes(body))


def document_with(part):
    return lambda _, body: want_in(f'{{"{part}'.encode(), bytes(body))


# --- the operations --------------------------------------------------------------------------------


def objects():
    """Objects, three ways to name each: operation, what it is given, what must hold."""
    for infix, place in (
        ("default_", {"bucket": BUCKET}),
        ("", {"bucket_type": TYPE, "bucket": BUCKET}),
        ("legacy_", {"bucket": BUCKET}),
    ):
        there = {**place, "key": "there"}
        yield f"get_{infix}object", there, hello
        yield f"head_{infix}object", there, found
        gone = {**place, "key": "goes_too" if infix == "legacy_" else "goes"}
        yield f"delete_{infix}object", gone, nothing
        for verb in ("put", "post"):
            written = {**place, "key": verb + infix, **TEXT}
            yield f"{verb}_{infix}object", written, nothing
            # Another key, as buckets of types keep siblings.
            written = {**written, "key": f"{verb}_again"}
            yield f"{verb}_{infix}object_return_body", written, hello
        if infix != "legacy_":
            yield f"create_{infix}object", {**place, **TEXT}, created
            yield f"create_{infix}object_return_body", {**place, **TEXT}, created


def of_buckets():
    """Listings, properties, indexes and folds, of a bucket and of one with a type."""
    for infix, place in (
        ("default_", {"bucket": BUCKET}),
        ("", {"bucket_type": TYPE, "bucket": BUCKET}),
    ):
        of_type = {"bucket_type": TYPE} if infix == "" else {}
        yield f"list_{infix}buckets", of_type, buckets
        yield f"stream_{infix}buckets", of_type, streamed_buckets
        yield f"list_{infix}keys", place, keys
        yield f"stream_{infix}keys", place, streamed_keys
        given = {**place, "bucket": "openriak_props"}
        yield f"get_{infix}bucket_properties", given, props
        set_ = {**given, "content_type": JSON, "props": Document({"props": {"n_val": 2}})}
        yield f"set_{infix}bucket_properties", set_, nothing
        yield f"reset_{infix}bucket_properties", given, nothing
        term = {**place, "field": "n_int", "value": "7"}
        terms = {**place, "field": "n_int", "start": "1", "end": "9"}
        yield f"query_{infix}secondary_index", term, keys
        yield f"query_{infix}secondary_index_range", terms, keys
        yield f"stream_{infix}secondary_index", term, streamed_keys
        yield f"stream_{infix}secondary_index_range", terms, streamed_keys
        query = models.BucketQueryRequest(query_list=[models.QuerySpec(**WORDS)])
        yield f"run_{infix}bucket_query", {**place, "content_type": JSON, "query": query}, keys
        yield f"get_{infix}bucket_query_results", {**place, "result_queue": "q"}, nothing
        for fold, more, part in (
            ("erase_keys", {}, "dispatched_count"),
            ("fetch_clocks_range", {}, "keys-clocks"),
            ("find_keys_by_object_size", {"size": 1}, "results"),
            ("find_keys_by_sibling_count", {"count": 1}, "results"),
            ("find_tombs", {}, "keys-clocks"),
            ("merge_tree_range", {"tree_size": "small"}, ""),
            ("object_stats", {}, "total_count"),
            ("reap_tombs", {}, "dispatched_count"),
            ("repair_keys_range", {}, "dispatched_count"),
            ("repl_keys_range", {"queue_name": "q"}, ""),
        ):
            of = place if fold != "erase_keys" else {**place, "bucket": "openriak_erased"}
            yield f"get_{infix}{fold}", {**of, **more}, document_with(part)


def others():
    job = models.MapReduceJob(
        inputs=Document([[BUCKET, "there"]]), query=Document(QUERY)
    )
    yield "map_reduce", {"content_type": JSON, "request": job}, values
    yield "map_reduce_chunked", {"content_type": JSON, "request": job}, parts
    yield "get_map_reduce_usage", {}, nothing
    yield "head_map_reduce", {}, nothing
    yield "get_bucket_type_properties", {"bucket_type": TYPE}, props
    changed = Document({"props": {"n_val": 3}})
    given = {"bucket_type": TYPE, "content_type": JSON, "props": changed}
    yield "set_bucket_type_properties", given, nothing
    walk = {"bucket": BUCKET, "key": "there", "walk": f"{BUCKET},t,1"}
    yield "link_walk_default", walk, walked
    yield "link_walk_legacy", walk, walked
    # Riak refuses walks from types of buckets but the default one.
    yield "link_walk", {"bucket_type": "default", **walk}, walked
    yield "ping", {}, lambda _, body: want(body, "OK")
    yield "get_root", {}, documents_or_page
    yield "get_stats", {}, documents
    yield "head_stats", {}, nothing
    plus = {"bucket": "counters", "key": "old", "amount": "5", "return_value": True}
    yield "update_legacy_counter", plus, counted
    yield "get_legacy_counter", {"bucket": "counters", "key": "old"}, counted
    five = models.DatatypeUpdatePayload(increment=5)
    update = {"content_type": JSON, "update": five, "return_body": True}
    yield "create_datatype", {**COUNTERS, **update}, nothing
    yield "update_datatype", {**COUNTERS, **update, "key": "k"}, datatype
    yield "get_datatype", {**COUNTERS, "key": "k"}, datatype
    yield "list_aae_buckets", {"nval": 3}, documents
    yield "get_fetch_clocks_nval", {"n_val": 3}, documents
    yield "get_merge_branch_nval", {"n_val": 3}, documents
    yield "get_merge_root_nval", {"n_val": 3}, documents
    yield "get_membership", {}, documents
    yield "get_queue_item", {"queue_name": "q"}, documents
    pushed = {"queue_name": "q", "content_type": JSON, "keys_clocks": Document({"keys-clocks": []})}
    yield "push_queue_items", pushed, nothing


def more_of_queries():
    """Queries of terms: how, what the document holds, what must come of it."""
    one = [models.QuerySpec(**WORDS)]
    yield "counted", {"query_list": one, "accumulation_option": "term_with_count"}, (
        lambda _, body: want_in("word", body["term_with_count"])
    )
    first = {"query_list": one, "accumulation_option": "raw_keys", "max_results": 1}
    yield "a page", first, lambda _, body: want(len(body["raw_keys"]), 1)
    split = {
        "evaluation_expression": 'delim($term, "r", ($left, $right))',
        "filter_expression": "$left = :left",
    }
    tested = [models.QuerySpec(**WORDS, **split)]
    yield "filtered", {"query_list": tested, "substitutions": Document({"left": "wo"})}, keys
    two = [
        models.QuerySpec(**WORDS, aggregation_tag="1"),
        models.QuerySpec(**WORDS, aggregation_tag="2", regular_expression="^x"),
    ]
    sets = {"query_list": two, "aggregation_expression": "$1 SUBTRACT $2"}
    yield "combined", sets, keys


def documents_or_page(_, body):
    want_in(b"riak_kv_wm_object", body)


def missing():
    """What is not there, and how the client is told of it."""
    for infix, place in (
        ("default_", {"bucket": BUCKET}),
        ("", {"bucket_type": TYPE, "bucket": BUCKET}),
        ("legacy_", {"bucket": BUCKET}),
    ):
        nowhere = {**place, "key": "nowhere"}
        yield f"get_{infix}object", "missing, as JSON", {**nowhere, "accept": JSON}
        yield f"get_{infix}object", "missing, as anything", nowhere
        yield f"head_{infix}object", "missing", nowhere
        yield f"delete_{infix}object", "missing", nowhere


# --- calls -----------------------------------------------------------------------------------------


async def content(output):
    """The body of an output as bytes, as text, or as what its JSON says."""
    body = getattr(output, "body", None)
    if hasattr(body, "as_value"):
        return body.as_value()
    if hasattr(body, "read"):
        body = body.read()
        if inspect.isawaitable(body):
            body = await body
    return body


async def call(client, operation, given):
    method = getattr(client, operation)
    input_type = next(iter(inspect.signature(method).parameters.values())).annotation
    output = await asyncio.wait_for(method(input_type(**given)), LIMIT)
    return output, await asyncio.wait_for(content(output), LIMIT)


async def tell(name, checks):
    """Prints how a call ended."""
    try:
        await checks
        print(f"ok {name}", flush=True)
    except asyncio.TimeoutError:
        print(f"failed {name}: not over after {LIMIT} s", flush=True)
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"failed {name}: {text[:300]}", flush=True)


async def succeeds(client, operation, given, check):
    check(*await call(client, operation, given))


async def is_missing(client, operation, given):
    try:
        await call(client, operation, given)
    except models.NotFoundError:
        return
    raise Wrong("an answer")


async def main():
    url = sys.argv[1]
    prepare(url)
    classes = inspect.getmembers(generated, inspect.isclass)
    (kind,) = [made for _, made in classes if made.__module__ == generated.__name__]
    client = kind(Config(endpoint_uri=url))
    methods = inspect.getmembers(kind, inspect.iscoroutinefunction)
    left = {name for name, _ in methods if not name.startswith("_")}
    for operation, given, check in (*objects(), *of_buckets(), *others()):
        left.discard(operation)
        await tell(operation, succeeds(client, operation, given, check))
    there = {"bucket": BUCKET, "key": "there"}
    shown = succeeds(client, "get_default_object", there, indexed)
    await tell("get_default_object (names of index headers)", shown)
    for how, document, check in more_of_queries():
        query = models.BucketQueryRequest(**document)
        given = {"bucket": BUCKET, "content_type": JSON, "query": query}
        asked = succeeds(client, "run_default_bucket_query", given, check)
        await tell(f"run_default_bucket_query ({how})", asked)
    for operation, how, given in missing():
        await tell(f"{operation} ({how})", is_missing(client, operation, given))
    for operation in sorted(left):
        print(f"failed {operation}: nothing here calls it")


asyncio.run(main())
