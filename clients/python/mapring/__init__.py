"""A client of mapring, a distributed key-value store with MapReduce built in.

from mapring import connect, emit, map_reduce

conn = connect("http://localhost:8098")
conn.bucket("people").put("1", {"name": "Ann", "age": 30})
"""

from . import query
from .answer import Results, ResultStream
from .connection import Connection, connect
from .datatypes import Datatype, MapChange, SetChange
from .errors import (
    AnswerTooLarge,
    BadRequest,
    Conflict,
    ConnectionLost,
    HttpError,
    JobAborted,
    JobError,
    JobFailed,
    MapringError,
    NotFound,
    QueryError,
    QueryTimeout,
    RequestTimeout,
    SiblingsError,
    TooLarge,
    TooMany,
    TranslationError,
    Unavailable,
    Unreachable,
)
from .jobs import Job, Pipeline
from .mapreduce import Output, emit, map_reduce
from .objects import Bucket, Link, Object, Value

__all__ = [
    "AnswerTooLarge",
    "BadRequest",
    "Bucket",
    "Conflict",
    "Connection",
    "ConnectionLost",
    "Datatype",
    "HttpError",
    "Job",
    "JobAborted",
    "JobError",
    "JobFailed",
    "Link",
    "MapChange",
    "MapringError",
    "NotFound",
    "Object",
    "Output",
    "Pipeline",
    "QueryError",
    "QueryTimeout",
    "RequestTimeout",
    "ResultStream",
    "Results",
    "SetChange",
    "SiblingsError",
    "TooLarge",
    "TooMany",
    "TranslationError",
    "Unavailable",
    "Unreachable",
    "Value",
    "connect",
    "emit",
    "map_reduce",
    "query",
]
