"""Three nodes for the tests, started from the binary in `MAPRING`, or running at `MAPRING_URLS`."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator

import pytest

import mapring


def _port() -> int:
    """The first of the ports that three nodes take, all of which are free."""
    for first in range(23098, 60000, 100):
        with contextlib.ExitStack() as taken:
            try:
                for offset in (0, 1, 10, 11, 20, 21):
                    one = taken.enter_context(socket.socket())
                    one.bind(("127.0.0.1", first + offset))
            except OSError:
                continue
            return first
    raise RuntimeError("no free ports")


@pytest.fixture(scope="session")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The addresses of three nodes."""
    if os.environ.get("MAPRING_URLS"):
        yield os.environ["MAPRING_URLS"].split(",")
        return
    binary = os.environ.get("MAPRING")
    if not binary:
        pytest.skip("no nodes: MAPRING names no binary, and MAPRING_URLS no nodes that run")
    first = _port()
    data = tmp_path_factory.mktemp("nodes")
    with open(data / "log", "wb") as log:
        process = subprocess.Popen(
            [binary, "playground", f"--http-port={first}", f"--data-dir={data / 'data'}"],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        made = [f"http://127.0.0.1:{first + offset}" for offset in (0, 10, 20)]
        ends = time.monotonic() + 90
        while "ready" not in (data / "log").read_text().split("\n"):
            if process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"the nodes did not start:\n{(data / 'log').read_text()}")
            time.sleep(0.1)
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.fixture
def conn(urls: list[str]) -> Iterator[mapring.Connection]:
    """A connection to the three nodes."""
    with mapring.connect(urls) as made:
        yield made


@pytest.fixture
def name() -> str:
    """The name of a bucket that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}"
