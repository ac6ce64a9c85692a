#!/usr/bin/env bash
# openriak 0.1.4: for its calls that know of "not found", an answer of 404 is a NotFoundError only if its
# body is JSON, or is told to be empty. With Riak's text, or an answer to a HEAD that tells how long the
# body of a GET would be, the call fails with an error of the JSON parser; and what it says it accepts
# is anything at all.
#
# A small server answers all with 404 and one body after the other. Needs Python 3.12 or later with venv,
# and access to PyPI. Takes some seconds.
#
# Ends with 0 while the client behaves so, and with another status when that changes.
set -euo pipefail

OPENRIAK=0.1.4

python=
for candidate in python3 python3.1{2,3,4} "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python3; do
  if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [[ -z $python ]]; then
  echo "needs Python 3.12 or later" >&2
  exit 2
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "openriak==$OPENRIAK" \
  smithy-core==0.5.0 smithy-http==0.4.4 smithy-json==0.2.3 aiohttp==3.14.5 ijson==3.6.0

cat >"$folder/program.py" <<'END'
"""What a client makes of "not found" in several forms."""

import asyncio
import inspect
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openriak import client, models
from openriak.config import Config

BODIES = {"text": b"not found\n", "nothing": b"", "json": b'{"error":"not_found"}'}


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = BODIES[self.path.rsplit("/", 1)[1]]
        accepted.append(self.headers["Accept"])
        self.send_response(404)
        self.send_header("Content-Type", "text/plain")
        if self.command != "HEAD" or body:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


accepted = []
server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()


async def main():
    url = f"http://127.0.0.1:{server.server_port}"
    (kind,) = [
        made
        for _, made in inspect.getmembers(client, inspect.isclass)
        if made.__module__ == client.__name__
    ]
    riak = kind(Config(endpoint_uri=url))
    get, head = models.GetDefaultObjectOperationInput, models.HeadDefaultObjectOperationInput
    for call, given, how in (
        (riak.get_default_object, get, "text"),
        (riak.get_default_object, get, "nothing"),
        (riak.get_default_object, get, "json"),
        (riak.head_default_object, head, "json"),
        (riak.head_default_object, head, "nothing"),
    ):
        try:
            await call(given(bucket="b", key=how))
            said = "an answer"
        except Exception as error:
            said = f"{type(error).__name__} {str(error).splitlines()[:1]}"
        print(f"{call.__name__}, {how}: {said}")
    print("it accepts", *sorted(set(accepted)))


asyncio.run(main())
END

found=$("$folder/env/bin/python" -W ignore "$folder/program.py" 2>/dev/null)

# Seen with openriak 0.1.4 on Python 3.12.
expected="get_default_object, text: SmithyError ['lexical error: invalid string in json text.']
get_default_object, nothing: NotFoundError []
get_default_object, json: NotFoundError []
head_default_object, json: SmithyError ['parse error: premature EOF']
head_default_object, nothing: NotFoundError []
it accepts */*"

# Why: the client is made from a description of the interface, in which an error has a shape; the shape
# is read from JSON whatever the Content-Type says, unless Content-Length is 0 or is missing with the body.
#
# Why it matters: "there is no such object", the most usual of all errors, cannot be told from a broken
# server by those who catch NotFoundError. A server that answers in JSON where JSON alone is accepted helps
# those who call with accept="application/json", and one that tells no length to a HEAD helps there.
printf '%s\n' "openriak $OPENRIAK:" "$found"
if [[ $found != "$expected" ]]; then
  printf '%s\n' "this has changed: expected" "$expected" >&2
  exit 1
fi
