"""Statements: brought down to assignments, calls, `if`, `while`, `try` and `return`.

pscript translates those as they are meant. What else there is differs there: a `for` sees a dict's
keys copied, a `break` in a loop within another one with `else` skips the outer `else`, a condition
of `while` goes by JavaScript's truth.
"""

from __future__ import annotations

import ast
import importlib
from typing import Any, Callable, Optional

from . import names
from .expressions import Expressions, array, call, constant, is_true, name
from .scopes import function_scope, js_name, parameters

#: Modules that a function may import by itself.
_IMPORTS = ("json", "math", "ast")

#: A line of a file among several, in a marker: file * this + line.
LINES = 10_000_000


def assign(target: str, value: ast.expr) -> ast.stmt:
    """An assignment to a variable."""
    return ast.Assign([ast.Name(target, ast.Store())], value)


def expression(value: ast.expr) -> ast.stmt:
    """An expression by itself."""
    return ast.Expr(value)


class Statements(Expressions):
    """Lowers the statements of one function."""

    #: Which file the lines are of.
    file = 0
    _made = 0

    def fresh(self, what: str) -> str:
        """A variable that no one has."""
        self._made += 1
        return f"mr_{what}{self._made}"

    def function(self, node: ast.FunctionDef, made_name: str) -> list[ast.stmt]:
        """A function's definition, under this name."""
        if node.decorator_list:
            raise self.refuse(node.decorator_list[0], "decorators cannot be translated")
        self.check_parameters(node.args)
        arguments = self.arguments(node.args)
        outer, self.scope = self.scope, function_scope(node, self.scope)
        try:
            body = node.body
            if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                body = body[1:]
            lowered = self.block(body) or [ast.Pass()]
        finally:
            self.scope = outer
        made = ast.FunctionDef(
            name=made_name, args=arguments, body=lowered, decorator_list=[], returns=None
        )
        if "type_params" in made._fields:
            # Since Python 3.12.
            setattr(made, "type_params", [])  # noqa: B010
        return [made, assign(made_name, self.arity(made_name, node.name, node.args))]

    def arity(self, made_name: str, written: str, args: ast.arguments) -> ast.expr:
        """A function that knows how many arguments it takes."""
        most = len(parameters(args))
        least = most - len(args.defaults)
        return call("mr_def", name(made_name), constant(written), constant(least), constant(most))

    def block(self, nodes: list[ast.stmt]) -> list[ast.stmt]:
        """Statements one after the other, each with a marker of its line."""
        made: list[ast.stmt] = []
        for node in nodes:
            lower: Optional[Callable[[Any], list[ast.stmt]]] = getattr(
                self, f"do_{type(node).__name__.lower()}", None
            )
            if lower is None:
                word = type(node).__name__.removesuffix("Def").lower()
                raise self.refuse(node, f"{word} cannot be translated")
            made.append(expression(call("mr_at", constant(self.file * LINES + node.lineno))))
            made += lower(node)
        return made

    # --- assignments -----------------------------------------------------------------------------

    def do_expr(self, node: ast.Expr) -> list[ast.stmt]:
        return [expression(self.value(node.value))]

    def do_pass(self, _: ast.Pass) -> list[ast.stmt]:
        return []

    def do_assign(self, node: ast.Assign) -> list[ast.stmt]:
        value = self.value(node.value)
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            return self.store(node.targets[0], value)
        held = self.fresh("v")
        made = [assign(held, value)]
        for target in node.targets:
            made += self.store(target, name(held))
        return made

    def do_annassign(self, node: ast.AnnAssign) -> list[ast.stmt]:
        if node.value is None:
            return []
        return self.do_assign(ast.copy_location(ast.Assign([node.target], node.value), node))

    def store(self, target: ast.expr, value: ast.expr) -> list[ast.stmt]:
        """Assigns a value to a name, an item, or several of them."""
        if isinstance(target, ast.Name):
            made = [assign(js_name(target.id), value)]
            self.scope.bound.add(target.id)
            return made
        if isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Slice):
            held = self.fresh("v")
            item = call(
                "mr_setitem", self.value(target.value), self.value(target.slice), name(held)
            )
            return [assign(held, value), expression(item)]
        if isinstance(target, (ast.Tuple, ast.List)):
            return self.unpack(target, value)
        if isinstance(target, ast.Attribute):
            raise self.refuse(target, f"the attribute .{target.attr} cannot be translated")
        raise self.refuse(target, "this cannot be assigned to in a translated function")

    def unpack(self, target: ast.expr, value: ast.expr) -> list[ast.stmt]:
        """Assigns the items of a value."""
        assert isinstance(target, (ast.Tuple, ast.List))
        stars = [at for at, one in enumerate(target.elts) if isinstance(one, ast.Starred)]
        if stars:
            after = len(target.elts) - stars[0] - 1
            items = call("mr_unpack_rest", value, constant(stars[0]), constant(after))
        else:
            items = call("mr_unpack", value, constant(len(target.elts)))
        held = self.fresh("v")
        made = [assign(held, items)]
        for at, one in enumerate(target.elts):
            inner = one.value if isinstance(one, ast.Starred) else one
            item = ast.Subscript(name(held), constant(at), ast.Load())
            made += self.store(inner, item)
        return made

    def do_augassign(self, node: ast.AugAssign) -> list[ast.stmt]:
        if isinstance(node.target, ast.Name):
            read = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
            changed = self.changed(node, self.value(read))
            return [assign(js_name(node.target.id), changed)]
        if not isinstance(node.target, ast.Subscript) or isinstance(node.target.slice, ast.Slice):
            raise self.refuse(node, "only names and items can be changed in place")
        container, key = self.fresh("v"), self.fresh("v")
        changed = self.changed(node, call("mr_getitem", name(container), name(key)))
        return [
            assign(container, self.value(node.target.value)),
            assign(key, self.value(node.target.slice)),
            expression(call("mr_setitem", name(container), name(key), changed)),
        ]

    def changed(self, node: ast.AugAssign, old: ast.expr) -> ast.expr:
        """The new value of what is changed in place."""
        both = ast.BinOp(ast.Constant(0), node.op, ast.Constant(0))
        made = self.value_binop(ast.copy_location(both, node))
        assert isinstance(made, ast.Call)
        made.args = [old, self.value(node.value)]
        if isinstance(node.op, ast.Add):
            made.func = name("mr_iadd")
        elif isinstance(node.op, ast.Mult):
            made.func = name("mr_imul")
        elif isinstance(node.op, (ast.Sub, ast.BitAnd, ast.BitOr, ast.BitXor)):
            # The set itself is changed: it is evaluated once and given along.
            held = self.fresh("s")
            made.args[0] = name(held)
            arguments = ast.arguments(
                posonlyargs=[], args=[ast.arg(held)], kwonlyargs=[], kw_defaults=[], defaults=[]
            )
            both_in = ast.Lambda(arguments, call("mr_iinto", name(held), made))
            return call("mr_call", both_in, array([old]))
        return made

    def do_delete(self, node: ast.Delete) -> list[ast.stmt]:
        made = []
        for one in node.targets:
            if not isinstance(one, ast.Subscript) or isinstance(one.slice, ast.Slice):
                raise self.refuse(node, "only items can be deleted")
            gone = call("mr_delitem", self.value(one.value), self.value(one.slice))
            made.append(expression(gone))
        return made

    # --- branches and loops ----------------------------------------------------------------------

    def branch(self, nodes: list[ast.stmt]) -> tuple[list[ast.stmt], Optional[set[str]]]:
        """A block that may not run, and the names that it leaves with a value: none of them
        known where it is never left at its end."""
        before = set(self.scope.bound)
        lowered = self.block(nodes)
        after = self.scope.bound
        self.scope.bound = before
        leaves = nodes and isinstance(nodes[-1], (ast.Return, ast.Raise, ast.Break, ast.Continue))
        return lowered, None if leaves else after

    def join(self, *ends: Optional[set[str]]) -> None:
        """Goes on with the names that have a value however the branches went."""
        known = [one for one in ends if one is not None]
        if known:
            self.scope.bound = set.intersection(*known)

    def do_if(self, node: ast.If) -> list[ast.stmt]:
        test = self.test(node.test)
        body, one = self.branch(node.body)
        orelse, other = self.branch(node.orelse)
        self.join(one, other)
        return [ast.If(test, body or [ast.Pass()], orelse)]

    def loop(
        self,
        node: Any,
        test: ast.expr,
        first: Callable[[], list[ast.stmt]],
    ) -> list[ast.stmt]:
        """A `while` loop, with what comes first in each round."""
        went_through = self.fresh("els") if node.orelse else None
        before = set(self.scope.bound)
        self.scope.loops.append(went_through)
        body = first()
        body += self.block(node.body)
        self.scope.loops.pop()
        self.scope.bound = before
        made: list[ast.stmt] = [ast.While(test, body or [ast.Pass()], [])]
        if went_through is None:
            return made
        orelse, _ = self.branch(node.orelse)
        return [
            assign(went_through, constant(True)),
            *made,
            ast.If(is_true(name(went_through)), orelse or [ast.Pass()], []),
        ]

    def do_while(self, node: ast.While) -> list[ast.stmt]:
        return self.loop(node, self.test(node.test), list)

    def do_for(self, node: ast.For) -> list[ast.stmt]:
        items = self.fresh("i")
        source = self.value(node.iter)
        made = self.loop(
            node,
            is_true(call("mr_more", name(items))),
            lambda: self.store(node.target, ast.Attribute(name(items), "v", ast.Load())),
        )
        return [assign(items, call("mr_iter", source)), *made]

    def do_break(self, _: ast.Break) -> list[ast.stmt]:
        went_through = self.scope.loops[-1]
        if went_through is None:
            return [ast.Break()]
        return [assign(went_through, constant(False)), ast.Break()]

    def do_continue(self, _: ast.Continue) -> list[ast.stmt]:
        return [ast.Continue()]

    # --- functions -------------------------------------------------------------------------------

    def do_functiondef(self, node: ast.FunctionDef) -> list[ast.stmt]:
        made = self.function(node, js_name(node.name))
        self.scope.bound.add(node.name)
        return made

    def do_return(self, node: ast.Return) -> list[ast.stmt]:
        return [ast.Return(constant(None) if node.value is None else self.value(node.value))]

    def do_nonlocal(self, node: ast.Nonlocal) -> list[ast.stmt]:
        for one in node.names:
            owner = self.scope.owner(one)
            if owner is None:
                raise self.refuse(node, f"{one} is of no function that is translated")
        return [ast.Nonlocal([js_name(one) for one in node.names])]

    def do_global(self, node: ast.Global) -> list[ast.stmt]:
        raise self.refuse(
            node, "a global would be another one on each node: emit what is to be kept"
        )

    def do_import(self, node: ast.Import) -> list[ast.stmt]:
        for one in node.names:
            if one.name not in _IMPORTS:
                hint = names.HINTS.get(one.name, f"of modules, {', '.join(_IMPORTS)} can")
                raise self.refuse(node, f"the module {one.name} cannot be used: {hint}")
            self.scope.imported[one.asname or one.name] = importlib.import_module(one.name)
        return []

    def do_importfrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        if node.module not in _IMPORTS or node.level:
            raise self.refuse(node, f"the module {node.module} cannot be used")
        module = importlib.import_module(node.module)
        for one in node.names:
            if not hasattr(module, one.name):
                raise self.refuse(node, f"{node.module} has no {one.name}")
            self.scope.imported[one.asname or one.name] = getattr(module, one.name)
        return []

    # --- exceptions ------------------------------------------------------------------------------

    def do_raise(self, node: ast.Raise) -> list[ast.stmt]:
        if node.exc is None:
            if not self.scope.caught:
                raise self.refuse(node, "here nothing was caught that could be raised again")
            return [expression(call("mr_raise", name(self.scope.caught[-1])))]
        kind = node.exc
        if isinstance(kind, ast.Name) and self.scope.owner(kind.id) is None:
            kind = ast.copy_location(ast.Call(kind, [], []), node)
        return [expression(call("mr_raise", self.value(kind)))]

    def do_assert(self, node: ast.Assert) -> list[ast.stmt]:
        message = [] if node.msg is None else [self.value(node.msg)]
        error = call("mr_exc", constant("AssertionError"), array(message))
        raised = expression(call("mr_raise", error))
        return [ast.If(ast.UnaryOp(ast.Not(), self.test(node.test)), [raised], [])]

    def do_try(self, node: ast.Try) -> list[ast.stmt]:
        before = set(self.scope.bound)
        body, after_body = self.branch(node.body)
        orelse: list[ast.stmt] = []
        if node.orelse:
            went_well = self.fresh("ok")
            body = [*body, assign(went_well, constant(True))]
            self.scope.bound = set(after_body if after_body is not None else before)
            lowered, after_body = self.branch(node.orelse)
            orelse = [ast.If(is_true(name(went_well)), lowered or [ast.Pass()], [])]
            self.scope.bound = set(before)
        ends = [after_body]
        made: list[ast.stmt] = body
        if node.handlers:
            handled, more = self.handlers(node.handlers)
            ends += more
            made = [ast.Try(body or [ast.Pass()], [handled], [], []), *orelse]
            if node.orelse:
                made.insert(0, assign(went_well, constant(False)))
        self.scope.bound = before
        self.join(*ends)
        if node.finalbody:
            bound = set(self.scope.bound)
            self.scope.bound = set(before)
            last = self.block(node.finalbody)
            self.scope.bound = bound | self.scope.bound
            made = [ast.Try(made or [ast.Pass()], [], [], last or [ast.Pass()])]
        return made

    def handlers(
        self, nodes: list[ast.ExceptHandler]
    ) -> tuple[ast.ExceptHandler, list[Optional[set[str]]]]:
        """One handler that tries all of them, and raises again what none takes."""
        error = self.fresh("e")
        ends = []
        chain: list[ast.stmt] = [expression(call("mr_raise", name(error)))]
        for node in reversed(nodes):
            kinds = array([constant(one) for one in self.kinds(node)])
            before = set(self.scope.bound)
            taken: list[ast.stmt] = []
            if node.name:
                taken.append(assign(js_name(node.name), name(error)))
                self.scope.bound.add(node.name)
            self.scope.caught.append(error)
            body, end = self.branch(node.body)
            self.scope.caught.pop()
            self.scope.bound = before
            if end is not None and node.name:
                end = end - {node.name}
            if node.name:
                # The name is gone behind the handler.
                body.append(assign(js_name(node.name), name("mr_absent")))
            ends.append(end)
            taken += body
            test = is_true(call("mr_catches", name(error), kinds))
            chain = [ast.If(test, taken or [ast.Pass()], chain)]
        return ast.ExceptHandler(name("Exception"), error, chain), ends

    def kinds(self, node: ast.ExceptHandler) -> list[str]:
        """The names of the exceptions that a handler takes."""
        if node.type is None:
            return ["Exception"]
        made = []
        for one in node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]:
            if isinstance(one, ast.Name):
                kind = self.meaning(one)
            elif isinstance(one, ast.Attribute):
                kind = getattr(self.module(one.value), one.attr, None)
            else:
                kind = None
            known = getattr(kind, "__name__", "?")
            if known not in names.EXCEPTIONS or not isinstance(kind, type):
                raise self.refuse(one, "this exception cannot be translated")
            made.append(known)
        return made
