"""Python functions as JavaScript, which the nodes run.

What is translated means the same there, or is refused: in advance, with the line, where the text
tells; else by an error of the function while it runs. To that end every operation whose meaning
differs is brought down to a call of a runtime (the `.js` files here), and pscript translates what
is left: functions, conditions, loops, assignments.
"""

from __future__ import annotations

import ast
import re
import sys
import types
from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from typing import Any, Optional

from ..errors import MapringError, TranslationError
from .expressions import Shared, constant
from .scopes import parameters
from .source import Source
from .statements import LINES, Statements, assign

#: The version whose translation is tested.
PSCRIPT = "0.8.1"

_FILES = ("values.js", "operators.js", "text.js", "builtins.js", "bridge.js")
_MARKER = re.compile(r"^\s*mr_at\((\d+)\);$")
_NAME = re.compile(r"\bmr_\w+")
_FRAME = re.compile(r"\(source:(\d+):\d+\)")


class Translated:
    """A function in JavaScript: its `source`, and where its lines are in Python."""

    def __init__(self, source: str, places: dict[int, str]) -> None:
        self.source = source
        self._places = places

    def locate(self, stack: str) -> Optional[str]:
        """The place in Python, `file:line`, of the innermost frame that has one."""
        for line in _FRAME.findall(stack):
            place = self._places.get(int(line))
            if place is not None:
                return place
        return None


def translate(
    function: Callable[..., Any], role: str, emit: Any, *, as_text: bool = False
) -> Translated:
    """A map, reduce or combine function in JavaScript, by its `role`.

    A map function takes a key and a value, a reduce function a key and its values; a combine
    function a key, fresh values and old ones. With `as_text`, what a reduce function returns is
    given as `str()` of it. `emit` is what stands for emit in Python.

    Raises:
        TranslationError: something cannot be translated; it names the line.
    """
    shared = Shared(emit)
    main = Source(function)
    _check_role(main, role)
    made_name = shared.helper(main.function)
    files: list[str] = []
    body: list[ast.stmt] = []
    while shared.waiting:
        body += _lower(shared.waiting.pop(0), main, shared, files)
    values = [assign(made, value) for made, value in shared.values.items()]
    module = ast.fix_missing_locations(ast.Module(values + body, type_ignores=[]))
    text = _by_pscript(ast.unparse(module), main)
    lines, places = _take_markers(text.split("\n"), files)
    call = f"mr_the_{role}({made_name}{', true' if as_text else ''})"
    flag = f"var mr_exact_sum = {'true' if sys.version_info >= (3, 12) else 'false'};"
    runtime = [flag, *_runtime("\n".join([*lines, call]))]
    source = "\n".join([*runtime, *lines, call])
    return Translated(source, {line + len(runtime): place for line, place in places.items()})


def _check_role(source: Source, role: str) -> None:
    wanted = {"map": ("key", "value"), "reduce": ("key", "values")}.get(
        role, ("key", "fresh", "old")
    )
    args = source.definition.args
    given = parameters(args)
    least = len(given) - len(args.defaults) - source.is_method
    most = len(given) - source.is_method
    if not least <= len(wanted) <= most:
        raise source.refuse(
            source.definition, f"a {role} function takes {', '.join(wanted)}: {source.name}"
        )
    if source.is_method and isinstance(source.definition, ast.FunctionDef):
        # The object is not there on the nodes: its name means nothing in the function.
        for node in ast.walk(source.definition):
            if isinstance(node, ast.Name) and node.id == given[0]:
                raise source.refuse(node, f"{given[0]} is not there on the nodes")


def _lower(
    function: types.FunctionType, main: Source, shared: Shared, files: list[str]
) -> list[ast.stmt]:
    """The statements that define a function."""
    source = main if function is main.function else Source(function)
    made_name = shared.helper(function)
    lowering = Statements(source, shared)
    if source.filename not in files:
        files.append(source.filename)
    lowering.file = files.index(source.filename)
    node = source.definition
    if isinstance(node, ast.Lambda):
        returned = ast.copy_location(ast.Return(node.body), node.body)
        node = ast.copy_location(
            ast.FunctionDef(
                name="<lambda>", args=node.args, body=[returned], decorator_list=[], returns=None
            ),
            node,
        )
    if source.is_method:
        args = node.args
        first = args.posonlyargs or args.args
        first.pop(0)
    return lowering.function(node, made_name)


def _by_pscript(text: str, main: Source) -> str:
    """JavaScript by pscript, which has nothing left to decide."""
    try:
        import pscript
    except ImportError as error:
        raise MapringError(
            f"Python functions become JavaScript with pscript: pip install pscript=={PSCRIPT} "
            "(it is also what pip install 'clients/python[python]' takes, in a copy of mapring's "
            "repository), or give JavaScript"
        ) from error
    try:
        made = pscript.py2js(text, docstrings=False)
    except Exception as error:
        raise TranslationError(f"pscript: {error}", main.filename, main.line) from error
    unknown = {name.split(".")[0] for name in made.meta["vars_unknown"]} - {"Exception"}
    used = made.meta["std_functions"] | made.meta["std_methods"]
    strange = {name for name in unknown if not name.startswith("mr_")} | used
    if strange:
        raise TranslationError(
            f"pscript would decide by itself about {', '.join(sorted(strange))}",
            main.filename,
            main.line,
        )
    return str(made)


def _take_markers(lines: list[str], files: list[str]) -> tuple[list[str], dict[int, str]]:
    """The lines without their markers, and the place in Python of each (from 1)."""
    kept: list[str] = []
    places: dict[int, str] = {}
    place: Optional[str] = None
    for line in lines:
        found = _MARKER.match(line)
        if found:
            file, number = divmod(int(found.group(1)), LINES)
            place = f"{files[file]}:{number}"
            continue
        kept.append(line)
        if place is not None:
            places[len(kept)] = place
    return kept, places


@lru_cache(maxsize=1)
def _parts() -> dict[str, str]:
    """The parts of the runtime by their names, without comments."""
    parts: dict[str, str] = {}
    current = ""
    for file in _FILES:
        text = resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
        for line in text.splitlines():
            if line.lstrip().startswith("//") or not line:
                continue
            found = re.match(r"(?:function|class|var) (mr_\w+)", line)
            if found:
                current = found.group(1)
                parts[current] = line
            else:
                parts[current] += "\n" + line
    return parts


def _runtime(text: str) -> list[str]:
    """The lines of the runtime that a text needs, in their order."""
    parts = _parts()
    needed: set[str] = set()
    waiting = [text]
    while waiting:
        for found in set(_NAME.findall(waiting.pop())):
            if found in parts and found not in needed:
                needed.add(found)
                waiting.append(parts[found])
    return [line for part, code in parts.items() if part in needed for line in code.split("\n")]


__all__ = ["Translated", "constant", "translate"]
