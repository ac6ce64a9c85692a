"""The test suite that comes with Riak's Python client, against a node: run.py URL.

A line for each test: `ok NAME`, `failed NAME: REASON` or `skipped NAME: REASON`.
"""

import json
import os
import signal
import sys
import unittest
import urllib.request
from urllib.parse import urlsplit

# Of a test, in seconds; most take some milliseconds.
LIMIT = 10
MODULES = "kv mapreduce 2i btypes client datatypes pool filters"
# What sleeps for 25 s and meets no node.
LEFT_OUT = ["test_pool.PoolTest.test_iteration"]
RUN = "RESOLVE KV MAPREDUCE INDEXES BTYPES CLIENT DATATYPES POOL"
# What the suite takes for granted: bucket types and their properties.
TYPES = {
    "mr": {},
    "plain": {},
    "pytest": {},
    "no_siblings": {"allow_mult": False},
    "write_once": {"write_once": True},
    "counters": {"datatype": "counter"},
    "sets": {"datatype": "set"},
    "maps": {"datatype": "map"},
    "hlls": {"datatype": "hll", "hll_precision": 14},
    "pytest-counters": {"datatype": "counter"},
    "pytest-sets": {"datatype": "set"},
    "pytest-maps": {"datatype": "map"},
}


class Hangs(Exception):
    """A test, or what prepares for it, took longer than it may."""


def ring(*_):
    raise Hangs(f"not over after {LIMIT} s")


def in_words(error):
    """The first lines of an exception, as one."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text[:300]


class Result(unittest.TestResult):
    """Prints how each test ended."""

    def startTest(self, test):
        super().startTest(test)
        self.ended = None
        signal.alarm(LIMIT)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)
        print(self.ended or f"ok {name_of(test)}", flush=True)

    def addError(self, test, err):
        if self.ended is None:
            self.ended = f"failed {name_of(test)}: {in_words(err[1])}"
        # Of a module or class as a whole there is no stopTest.
        if not isinstance(test, unittest.TestCase):
            print(self.ended, flush=True)

    addFailure = addError

    def addSkip(self, test, reason):
        self.ended = f"skipped {name_of(test)}: {reason}"
        if not isinstance(test, unittest.TestCase):
            print(self.ended, flush=True)

    def addExpectedFailure(self, test, err):
        self.ended = f"ok {name_of(test)}"

    def addUnexpectedSuccess(self, test):
        self.ended = f"failed {name_of(test)}: passes, and its authors did not expect it"

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.addError(test, err)


def name_of(test):
    return test.id().replace("riak.tests.", "").replace(" ", "_")


def leave_out(tests):
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            leave_out(test)
        elif name_of(test) in LEFT_OUT:
            # The decorator for tests that are skipped sets the same.
            method = getattr(type(test), test._testMethodName)
            method.__unittest_skip__ = True
            method.__unittest_skip_why__ = "it is left out here"


def create_types(url):
    for name, properties in TYPES.items():
        request = urllib.request.Request(
            f"{url}/admin/bucket-types/{name}",
            json.dumps({"props": properties}).encode(),
            {"Content-Type": "application/json"},
            method="PUT",
        )
        try:
            urllib.request.urlopen(request, timeout=LIMIT).close()
        except urllib.error.HTTPError as error:
            print(f"no bucket type {name}: {error.read().decode()}", file=sys.stderr)


def main():
    url = sys.argv[1]
    signal.signal(signal.SIGALRM, ring)
    create_types(url)
    os.environ.update({f"RUN_{part}": "1" for part in RUN.split()})
    node = urlsplit(url)
    os.environ.update(
        RIAK_TEST_PROTOCOL="http",
        RIAK_TEST_HOST=node.hostname,
        RIAK_TEST_HTTP_PORT=str(node.port),
    )
    names = sys.argv[2:] or [f"riak.tests.test_{module}" for module in MODULES.split()]
    tests = unittest.defaultTestLoader.loadTestsFromNames(names)
    leave_out(tests)
    tests.run(Result())


main()
