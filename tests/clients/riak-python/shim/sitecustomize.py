"""What the client and its tests use of older Pythons, put back before they are imported."""

import collections
import collections.abc
import sys
import threading
import types

ABSTRACT = (
    "Callable Container Hashable Iterable Iterator Mapping MutableMapping MutableSequence "
    "Sequence Set Sized"
)
# Until 3.9 these were in `collections` too.
for name in ABSTRACT.split():
    if not hasattr(collections, name):
        setattr(collections, name, getattr(collections.abc, name))

_namedtuple = collections.namedtuple


def namedtuple(*args, **options):
    """Until 3.6 it took `verbose`."""
    options.pop("verbose", None)
    options.setdefault("module", sys._getframe(1).f_globals.get("__name__"))
    return _namedtuple(*args, **options)


collections.namedtuple = namedtuple

if not hasattr(threading, "currentThread"):
    threading.currentThread = threading.current_thread

# Gone with 3.13; of it the client uses `parse_header`.
if sys.version_info >= (3, 13):
    from email.message import Message

    def parse_header(line):
        """The value and the parameters of a header."""
        message = Message()
        message["content-type"] = line
        (value, _), *parameters = message.get_params(failobj=[(line, "")])
        return value, dict(parameters)

    cgi = types.ModuleType("cgi")
    cgi.parse_header = parse_header
    sys.modules["cgi"] = cgi
