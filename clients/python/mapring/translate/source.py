"""Where a function is written: its syntax tree, with the lines of its file."""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import types
from typing import Any, Callable, Union

from ..errors import TranslationError

#: A function's definition.
Definition = Union[ast.FunctionDef, ast.Lambda]


class Source:
    """A Python function with its definition and what its names mean outside of it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.is_method = isinstance(function, types.MethodType)
        if isinstance(function, types.MethodType):
            function = function.__func__
        if not isinstance(function, types.FunctionType):
            kind = type(function).__name__
            raise TranslationError(
                f"a plain Python function or JavaScript text is needed, not {kind}: {function!r}",
                "<call>",
                None,
            )
        self.function = function
        self.name = function.__name__
        self.filename = function.__code__.co_filename
        self.line = function.__code__.co_firstlineno
        self.definition = self._find()

    def refuse(self, node: ast.AST, reason: str) -> TranslationError:
        """The error for a part of the function, with its line."""
        return TranslationError(reason, self.filename, getattr(node, "lineno", self.line))

    def outer(self, name: str) -> tuple[bool, Any]:
        """What a name means outside of the function: `(found, value)`."""
        code = self.function.__code__
        if name in code.co_freevars and self.function.__closure__ is not None:
            cell = self.function.__closure__[code.co_freevars.index(name)]
            try:
                return True, cell.cell_contents
            except ValueError:
                return False, None
        if name in self.function.__globals__:
            return True, self.function.__globals__[name]
        if hasattr(builtins, name):
            return True, getattr(builtins, name)
        return False, None

    def _find(self) -> Definition:
        lines = linecache.getlines(self.filename, self.function.__globals__)
        if not lines:
            raise TranslationError(
                f"the text of {self.name} cannot be read: write the function in a file, or give "
                "JavaScript",
                self.filename,
                self.line,
            )
        try:
            tree = ast.parse("".join(lines), self.filename)
        except SyntaxError as error:
            raise TranslationError(
                f"the file has changed and does not parse: {error.msg}", self.filename, error.lineno
            ) from None
        found = [node for node in ast.walk(tree) if self._is_it(node)]
        if len(found) > 1 and all(isinstance(node, ast.Lambda) for node in found):
            found = [node for node in found if self._is_at(node)]
        if len(found) != 1:
            what = "several functions" if found else "no such function any more"
            raise TranslationError(
                f"on this line there are {what}: write {self.name} as a def of its own",
                self.filename,
                self.line,
            )
        definition = found[0]
        assert isinstance(definition, (ast.FunctionDef, ast.Lambda))
        return definition

    def _is_it(self, node: ast.AST) -> bool:
        if isinstance(node, ast.AsyncFunctionDef):
            return False
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            return first == self.line and node.name == self.function.__code__.co_name
        if isinstance(node, ast.Lambda) and self.function.__code__.co_name == "<lambda>":
            code = self.function.__code__
            names = tuple(arg.arg for arg in node.args.args)
            return node.lineno == self.line and names == code.co_varnames[: code.co_argcount]
        return False

    def _is_at(self, node: ast.AST) -> bool:
        """Of several lambdas on a line: the one whose body has the code's columns, or, where
        Python keeps none, whose code is the same."""
        code = self.function.__code__
        assert isinstance(node, ast.Lambda)
        if hasattr(code, "co_positions"):
            starts = {
                (line, column)
                for line, _, column, _ in code.co_positions()
                if line is not None and column is not None
            }
            inside = {
                (one.lineno, one.col_offset)
                for one in ast.walk(node.body)
                if isinstance(one, ast.expr)
            }
            return bool(starts & inside)
        made = compile(ast.Expression(node), self.filename, "eval").co_consts[0]
        return bool(made.co_code == code.co_code and made.co_consts == code.co_consts)


def is_plain_function(value: Any) -> bool:
    """Whether a value is a function written in Python."""
    return inspect.isfunction(value)
