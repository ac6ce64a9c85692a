#!/usr/bin/env bash
# riak 2.7.0 for Python: once a call that streams was answered with another status than 200, close() of
# the client never returns. The call itself fails as it should, and other calls go on.
#
# A small server refuses all streams with 503; a program calls one, reads its error, and closes the
# client. Needs python3 (3.9 or later) with venv, and access to PyPI. Takes some seconds.
#
# Ends with 0 while the client behaves so, and with another status when that changes.
set -euo pipefail

RIAK=2.7.0

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "riak==$RIAK" setuptools==80.9.0

cat >"$folder/program.py" <<'END'
"""Calls that stream and are refused, and then the end of the client."""

import collections
import collections.abc
import sys
import threading
import types
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# The client is older than this Python: what it misses.
for name in collections.abc.__all__:
    if not hasattr(collections, name):
        setattr(collections, name, getattr(collections.abc, name))
made = collections.namedtuple
collections.namedtuple = lambda *given, verbose=False, **more: made(*given, **more)
if sys.version_info >= (3, 13):
    sys.modules["cgi"] = types.SimpleNamespace(parse_header=Message)

import riak

ANSWERS = {
    "/stats": (200, b'{"riak_kv_version":"2.1.8"}'),
    "/": (200, b'{"riak_kv_wm_buckets":"/buckets"}'),
    "/buckets/b/keys/k": (404, b"not found\n"),
}


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0]
        status, body = ANSWERS.get(path, (503, b"request timed out\n"))
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()


def ends(call):
    """What comes of a call, if anything does within 5 s."""
    said = []

    def run():
        try:
            call()
            said.append("returns")
        except Exception as error:
            said.append(str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(5)
    return said[0] if said else "never returns"


def client():
    return riak.RiakClient(protocol="http", host="127.0.0.1", http_port=server.server_port)


plain = client()
print("get():", ends(lambda: plain.bucket("b").get("k")))
print("close() after it:", ends(plain.close))
streaming = client()
print("stream_keys():", ends(lambda: list(streaming.stream_keys(streaming.bucket("b")))))
print("get() after it:", ends(lambda: streaming.bucket("b").get("k")))
print("close() after it:", ends(streaming.close))
END

found=$("$folder/env/bin/python" -W ignore "$folder/program.py")

# Seen with riak 2.7.0 on Python 3.11 to 3.13.
expected="get(): returns
close() after it: returns
stream_keys(): 'Error listing keys.'
get() after it: returns
close() after it: never returns"

# Why: a connection of the pool is claimed for as long as its stream is read, and given back by the
# stream. Where the answer is an error no stream is made, so nobody gives the connection back; close()
# waits for it.
#
# Why it matters: a program whose end waits forever, though it has caught the error, and whose pool grows
# by a connection with each such error. So a server begins its stream only when it knows that it can be
# served, and tells inside the stream of what goes wrong later, which the client reads well.
printf '%s\n' "riak $RIAK:" "$found"
if [[ $found != "$expected" ]]; then
  printf '%s\n' "this has changed: expected" "$expected" >&2
  exit 1
fi
