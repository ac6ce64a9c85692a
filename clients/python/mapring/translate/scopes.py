"""Which names a function has of its own, and which of them have a value for certain."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, Optional, Union

#: Nodes that have names of their own.
_INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def js_name(name: str) -> str:
    """A name in JavaScript, which is no word of the language and none of the runtime's."""
    if name.isascii():
        return f"u_{name}"
    # Two names never become the same.
    letters = {"_": "__"}
    return "w_" + "".join(
        letters.get(letter, letter) if letter.isascii() else f"_x{ord(letter):x}_"
        for letter in name
    )


class Scope:
    """The names of a function, or of a comprehension within one."""

    def __init__(self, parent: Optional[Scope], names: set[str], nonlocals: set[str]) -> None:
        self.parent = parent
        self.names = names
        self.nonlocals = nonlocals
        #: Names that have a value for certain at the place that is looked at.
        self.bound: set[str] = set()
        #: What names of modules and functions that were imported here mean.
        self.imported: dict[str, Any] = {}
        #: Variables that catch exceptions, innermost last.
        self.caught: list[str] = []
        #: For each loop around, the variable that says that it went to its end, if it needs one.
        self.loops: list[Optional[str]] = []

    def owner(self, name: str) -> Optional[Scope]:
        """The innermost scope that has this name."""
        scope: Optional[Scope] = self
        while scope is not None:
            if name in scope.names and name not in scope.nonlocals:
                return scope
            scope = scope.parent
        return None

    def imports(self, name: str) -> tuple[bool, Any]:
        """What a name that was imported in a function means."""
        scope: Optional[Scope] = self
        while scope is not None:
            if name in scope.imported:
                return True, scope.imported[name]
            scope = scope.parent
        return False, None


def parameters(arguments: ast.arguments) -> list[str]:
    """The names of a function's parameters."""
    return [one.arg for one in (*arguments.posonlyargs, *arguments.args)]


def function_scope(node: Union[ast.FunctionDef, ast.Lambda], parent: Optional[Scope]) -> Scope:
    """The scope of a function: its parameters and what it assigns."""
    names = set(parameters(node.args))
    nonlocals: set[str] = set()
    body = node.body if isinstance(node.body, list) else [node.body]
    for one in _within(body):
        if isinstance(one, ast.Name) and isinstance(one.ctx, (ast.Store, ast.Del)):
            names.add(one.id)
        elif isinstance(one, (ast.FunctionDef, ast.ExceptHandler)) and one.name:
            names.add(one.name)
        elif isinstance(one, ast.Nonlocal):
            nonlocals.update(one.names)
    scope = Scope(parent, names, nonlocals)
    scope.bound = set(parameters(node.args))
    return scope


def _within(nodes: list[Any]) -> Iterator[ast.AST]:
    """All nodes of a function that are of its own scope."""
    for node in nodes:
        yield node
        if isinstance(node, _INNER):
            continue
        for child in ast.iter_child_nodes(node):
            if not isinstance(node, _COMPREHENSIONS) or not isinstance(child, ast.comprehension):
                yield from _within([child])
            else:
                # Targets of a comprehension are its own.
                yield from _within([child.iter, *child.ifs])


def target_names(target: ast.expr) -> list[str]:
    """The names that a target of a comprehension binds, in the order of their patterns."""
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, (ast.Tuple, ast.List)):
        return [name for one in target.elts for name in target_names(one)]
    return []
