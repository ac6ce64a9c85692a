"""Expressions: every one whose meaning differs in JavaScript becomes a call of the runtime."""

from __future__ import annotations

import ast
import math
import types
from typing import Any, Callable, Optional, Union

from .. import limits
from ..errors import TranslationError
from . import names
from .scopes import Scope, function_scope, js_name, parameters, target_names
from .source import Source, is_plain_function

_BINARY = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.BitAnd: "bitand",
    ast.BitOr: "bitor",
    ast.BitXor: "bitxor",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
}
_COMPARE = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Is: "is",
    ast.IsNot: "is_not",
    ast.In: "in",
    ast.NotIn: "not_in",
}
_UNARY = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "invert"}

#: The largest int that JavaScript holds exactly.
_MOST_INT = 2**53 - 1

#: Modules whose functions can be used, and `mapring` itself.
_MODULES = ("json", "math", "ast", "mapring")


def name(text: str) -> ast.Name:
    """A name that is read."""
    return ast.Name(text, ast.Load())


def call(function: str, *args: ast.expr) -> ast.Call:
    """A call of the runtime."""
    return ast.Call(name(function), list(args), [])


def constant(value: Any) -> ast.Constant:
    """A constant that JavaScript has as well."""
    return ast.Constant(value)


def array(items: list[ast.expr]) -> ast.List:
    """A list."""
    return ast.List(items, ast.Load())


def later(body: ast.expr, args: tuple[str, ...] = ()) -> ast.Lambda:
    """A function that gives an expression's value when it is called."""
    arguments = ast.arguments(
        posonlyargs=[],
        args=[ast.arg(arg) for arg in args],
        kwonlyargs=[],
        kw_defaults=[],
        defaults=[],
    )
    return ast.Lambda(arguments, body)


def is_true(value: ast.expr) -> ast.expr:
    """A condition that is compared, so that pscript takes it as it is."""
    return ast.Compare(value, [ast.Is()], [constant(True)])


class Shared:
    """What the functions of one translation have in common: helpers and values from outside."""

    def __init__(self, emit: Any) -> None:
        self.emit = emit
        #: Helper functions that are still to be translated, and their names.
        self.helpers: dict[int, tuple[types.FunctionType, str]] = {}
        self.waiting: list[types.FunctionType] = []
        #: Values from outside, as statements.
        self.values: dict[str, ast.expr] = {}

    def helper(self, function: types.FunctionType) -> str:
        """The name of a function that is translated as well."""
        known = self.helpers.get(id(function))
        if known is None:
            known = (function, f"f{len(self.helpers)}_{js_name(function.__name__.strip('<>'))}")
            self.helpers[id(function)] = known
            self.waiting.append(function)
        return known[1]


class Expressions:
    """Lowers the expressions of one function."""

    def __init__(self, source: Source, shared: Shared) -> None:
        self.source = source
        self.shared = shared
        self.scope = Scope(None, set(), set())

    def refuse(self, node: ast.AST, reason: str) -> TranslationError:
        """The error for a part of the function."""
        return self.source.refuse(node, reason)

    # --- by kind ---------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> ast.expr:
        """An expression of Python as one that means the same in JavaScript."""
        lower: Optional[Callable[[Any], ast.expr]] = getattr(
            self, f"value_{type(node).__name__.lower()}", None
        )
        if lower is None:
            raise self.refuse(node, f"{_words(node)} cannot be translated")
        return lower(node)

    def values(self, nodes: list[ast.expr]) -> list[ast.expr]:
        """Several expressions; `*rest` is refused."""
        return [self.value(node) for node in nodes]

    def test(self, node: ast.expr) -> ast.expr:
        """A condition, by the truth of Python."""
        if isinstance(node, ast.BoolOp):
            return ast.BoolOp(node.op, [self.test(one) for one in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ast.UnaryOp(ast.Not(), self.test(node.operand))
        if isinstance(node, ast.Compare):
            return is_true(self.value(node))
        return is_true(call("mr_t", self.value(node)))

    def value_constant(self, node: ast.Constant) -> ast.expr:
        return self.literal(node.value, node)

    def literal(self, value: Any, node: ast.AST) -> ast.expr:
        """A value that is known now, as an expression."""
        if value is None or isinstance(value, bool):
            return constant(value)
        if isinstance(value, int):
            if abs(value) > _MOST_INT:
                raise self.refuse(node, f"an int beyond 2**53 is not exact in JavaScript: {value}")
            return constant(value) if value >= 0 else call("mr_neg", constant(-value))
        if isinstance(value, float):
            return call("mr_b_float", constant(repr(value)))
        if isinstance(value, str):
            if any("\ud800" <= letter < "\ue000" for letter in value):
                raise self.refuse(node, "a text with half a character cannot be translated")
            return constant(value)
        if isinstance(value, (list, tuple)):
            items = array([self.literal(one, node) for one in value])
            return items if isinstance(value, list) else call("mr_tuple", items)
        if isinstance(value, dict):
            pairs = [self.literal(one, node) for item in value.items() for one in item]
            return call("mr_dict", array(pairs))
        if isinstance(value, set):
            return call("mr_set", array([self.literal(one, node) for one in value]))
        raise self.refuse(node, f"a value of type {type(value).__name__} cannot be translated")

    def value_yield(self, node: ast.Yield) -> ast.expr:
        raise self.refuse(
            node,
            "yield cannot be translated: in a map function write emit(key, value), in others "
            "return a list",
        )

    def value_name(self, node: ast.Name) -> ast.expr:
        owner = self.scope.owner(node.id)
        if owner is not None:
            read = name(js_name(node.id))
            if node.id in owner.bound:
                return read
            return call("mr_bound", read, constant(node.id))
        return self.outside(node, self.meaning(node))

    def meaning(self, node: ast.Name) -> Any:
        """What a name from outside of the function means."""
        found, value = self.scope.imports(node.id)
        if not found:
            found, value = self.source.outer(node.id)
        if not found and node.id == "emit":
            return self.shared.emit
        if not found or (node.id in names.HINTS and self.is_builtin(node.id, value)):
            hint = names.HINTS.get(node.id) or names.OF_JAVASCRIPT.get(node.id, "it has no value")
            raise self.refuse(node, f"{node.id!r} cannot be used in a translated function: {hint}")
        return value

    def is_builtin(self, written: str, value: Any) -> bool:
        """Whether a name has its usual meaning."""
        given = getattr(value, "__name__", None)
        module = getattr(value, "__module__", None)
        return written == given and (module == "builtins" or isinstance(value, types.ModuleType))

    def outside(self, node: ast.Name, value: Any) -> ast.expr:
        """A value from outside of the function, where it is not called."""
        if value is self.shared.emit:
            return call("mr_def", name("mr_emit"), constant("emit"), constant(2), constant(2))
        if node.id in names.AS_VALUES and self.is_builtin(node.id, value):
            least = 0 if "?" in names.BUILTINS[node.id].split()[0] else 1
            function = name(f"mr_b_{node.id}")
            return call("mr_def", function, constant(node.id), constant(least), constant(1))
        if is_data(value):
            return self.captured(node, node.id, value)
        if value in _functions():
            raise self.refuse(node, f"{node.id} can be called, not given to others")
        if is_plain_function(value):
            return name(self.shared.helper(value))
        hint = names.HINTS.get(node.id)
        raise self.refuse(
            node,
            f"{node.id!r} cannot be used in a translated function"
            + (f": {hint}" if hint else f": it is of type {type(value).__name__}"),
        )

    def captured(self, node: ast.AST, written: str, value: Any) -> ast.expr:
        """A copy of a value from outside, as it is now."""
        if isinstance(value, (int, float, str)) or value is None:
            return self.literal(value, node)
        if len(repr(value)) > limits.CAPTURED:
            raise self.refuse(
                node, f"{written} is larger than {limits.CAPTURED} characters: store it as objects"
            )
        made = f"c{id(value):x}_{js_name(written)}"
        if made not in self.shared.values:
            self.shared.values[made] = call("mr_freeze", self.literal(value, node))
        return name(made)

    def value_binop(self, node: ast.BinOp) -> ast.expr:
        operator = _BINARY.get(type(node.op))
        if operator is None:
            raise self.refuse(node, "@ cannot be translated")
        return call(f"mr_{operator}", self.value(node.left), self.value(node.right))

    def value_unaryop(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.op, ast.Not):
            return ast.UnaryOp(ast.Not(), self.test(node.operand))
        return call(f"mr_{_UNARY[type(node.op)]}", self.value(node.operand))

    def value_boolop(self, node: ast.BoolOp) -> ast.expr:
        function = "mr_or" if isinstance(node.op, ast.Or) else "mr_and"
        made = self.value(node.values[-1])
        for one in reversed(node.values[:-1]):
            made = call(function, self.value(one), later(made))
        return made

    def value_compare(self, node: ast.Compare) -> ast.expr:
        signs = [f"mr_{_COMPARE[type(one)]}" for one in node.ops]
        left = self.value(node.left)
        if len(signs) == 1:
            return call(signs[0], left, self.value(node.comparators[0]))
        rest = array([later(self.value(one)) for one in node.comparators])
        return call("mr_chain", array([name(sign) for sign in signs]), left, rest)

    def value_ifexp(self, node: ast.IfExp) -> ast.expr:
        return ast.IfExp(self.test(node.test), self.value(node.body), self.value(node.orelse))

    def value_list(self, node: ast.List) -> ast.expr:
        return self.items(node.elts)

    def items(self, nodes: list[ast.expr]) -> ast.expr:
        """A list of expressions, among which `*rest` may stand."""
        if not any(isinstance(one, ast.Starred) for one in nodes):
            return array(self.values(nodes))
        made: ast.expr = array([])
        for one in nodes:
            part = (
                call("mr_b_list", self.value(one.value))
                if isinstance(one, ast.Starred)
                else array([self.value(one)])
            )
            made = call("mr_add", made, part)
        return made

    def value_tuple(self, node: ast.Tuple) -> ast.expr:
        return call("mr_tuple", self.items(node.elts))

    def value_set(self, node: ast.Set) -> ast.expr:
        return call("mr_set", self.items(node.elts))

    def value_dict(self, node: ast.Dict) -> ast.expr:
        if all(key is not None for key in node.keys):
            return call("mr_dict", array(self.pairs(node)))
        parts = []
        for key, value in zip(node.keys, node.values):
            if key is None:
                parts.append(self.value(value))
            else:
                parts.append(call("mr_dict", array([self.value(key), self.value(value)])))
        return call("mr_dict_merged", array(parts))

    def pairs(self, node: ast.Dict) -> list[ast.expr]:
        """Keys and values, in turn."""
        made = []
        for key, value in zip(node.keys, node.values):
            assert key is not None
            made += [self.value(key), self.value(value)]
        return made

    def value_subscript(self, node: ast.Subscript) -> ast.expr:
        container = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            bounds = [constant(None) if one is None else self.value(one) for one in parts]
            return call("mr_slice", container, *bounds)
        return call("mr_getitem", container, self.value(node.slice))

    def value_joinedstr(self, node: ast.JoinedStr) -> ast.expr:
        return call("mr_concat", array(self.values(node.values)))

    def value_formattedvalue(self, node: ast.FormattedValue) -> ast.expr:
        if node.conversion == ord("a"):
            raise self.refuse(node, "!a cannot be translated")
        conversion = "" if node.conversion == -1 else chr(node.conversion)
        spec = constant("") if node.format_spec is None else self.value(node.format_spec)
        return call("mr_formatted", self.value(node.value), constant(conversion), spec)

    # --- functions and comprehensions ------------------------------------------------------------

    def value_lambda(self, node: ast.Lambda) -> ast.expr:
        self.check_parameters(node.args)
        outer, self.scope = self.scope, function_scope(node, self.scope)
        try:
            arguments = self.arguments(node.args)
            made = ast.Lambda(arguments, self.value(node.body))
        finally:
            self.scope = outer
        least = len(parameters(node.args)) - len(node.args.defaults)
        return call(
            "mr_def",
            made,
            constant("<lambda>"),
            constant(least),
            constant(len(parameters(node.args))),
        )

    def check_parameters(self, args: ast.arguments) -> None:
        """Refuses what parameters cannot be here."""
        unusual = args.vararg or args.kwarg or (args.kwonlyargs[0] if args.kwonlyargs else None)
        if unusual is not None:
            raise self.refuse(unusual, f"only plain parameters can be translated: {unusual.arg}")
        for one in args.defaults:
            if not isinstance(one, (ast.Constant, ast.UnaryOp)):
                raise self.refuse(one, "a default value has to be a constant")

    def arguments(self, args: ast.arguments) -> ast.arguments:
        """Parameters under their names in JavaScript."""
        return ast.arguments(
            posonlyargs=[],
            args=[ast.arg(js_name(one)) for one in parameters(args)],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=self.values(args.defaults),
        )

    def value_listcomp(self, node: ast.ListComp) -> ast.expr:
        return call("mr_b_list", self.clauses(node, node.generators, node.elt))

    def value_setcomp(self, node: ast.SetComp) -> ast.expr:
        return call("mr_b_set", self.clauses(node, node.generators, node.elt))

    def value_generatorexp(self, node: ast.GeneratorExp) -> ast.expr:
        return self.clauses(node, node.generators, node.elt)

    def value_dictcomp(self, node: ast.DictComp) -> ast.expr:
        pair = ast.Tuple([node.key, node.value], ast.Load())
        return call("mr_b_dict", self.clauses(node, node.generators, pair))

    def clauses(
        self, node: ast.expr, generators: list[ast.comprehension], element: ast.expr
    ) -> ast.expr:
        """The clauses of a comprehension, each with a function of what it binds."""
        first, *rest = generators
        if first.is_async:
            raise self.refuse(node, "async cannot be translated")
        if isinstance(element, ast.Lambda):
            raise self.refuse(
                element, "a lambda made in a comprehension sees other values than in Python"
            )
        source = self.value(first.iter)
        bound = target_names(first.target)
        pattern = self.pattern(first.target)
        outer, self.scope = self.scope, Scope(self.scope, set(bound), set())
        self.scope.bound = set(bound)
        try:
            args = tuple(js_name(one) for one in bound)
            passing: ast.expr = constant(None)
            if first.ifs:
                tests = [self.test(one) for one in first.ifs]
                test = tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), tests)
                passing = later(test, args)
            body = self.clauses(node, rest, element) if rest else self.value(element)
        finally:
            self.scope = outer
        return call("mr_gen", source, pattern, passing, later(body, args), constant(bool(rest)))

    def pattern(self, target: ast.expr) -> ast.expr:
        """0 for a name, a list for what is unpacked."""
        if isinstance(target, ast.Name):
            return constant(0)
        if isinstance(target, (ast.Tuple, ast.List)) and target.elts:
            return array([self.pattern(one) for one in target.elts])
        raise self.refuse(target, "here only names can be assigned")

    # --- calls -----------------------------------------------------------------------------------

    def value_call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Attribute):
            return self.attribute_call(node, node.func)
        if isinstance(node.func, ast.Name) and self.scope.owner(node.func.id) is None:
            return self.outside_call(node, node.func.id, self.meaning(node.func))
        return self.plain_call(node, self.value(node.func))

    def plain_call(self, node: ast.Call, function: ast.expr) -> ast.expr:
        """A call of a function that was translated."""
        if node.keywords:
            raise self.refuse(
                node,
                "arguments of a function of one's own cannot be given by name: give them in order",
            )
        return call("mr_call", function, self.items(node.args))

    def attribute_call(self, node: ast.Call, func: ast.Attribute) -> ast.expr:
        module = self.module(func.value)
        if module is not None:
            found = getattr(module, func.attr, None)
            return self.outside_call(node, f"{module.__name__}.{func.attr}", found)
        container = self.value(func.value)
        if func.attr == "format":
            self.no_stars(node)
            named = [one for key in node.keywords for one in self.keyword(key)]
            names_given = call("mr_dict", array(named))
            return call("mr_m_format", container, array(self.values(node.args)), names_given)
        signature = names.METHODS.get(func.attr)
        if signature is None:
            raise self.refuse(node, f"the method {func.attr}() cannot be translated")
        return call(f"mr_m_{func.attr}", container, *self.fit(node, func.attr, signature))

    def keyword(self, key: ast.keyword) -> list[ast.expr]:
        """A name and its value."""
        assert key.arg is not None
        return [constant(key.arg), self.value(key.value)]

    def value_attribute(self, node: ast.Attribute) -> ast.expr:
        module = self.module(node.value)
        if module is math and node.attr in ("pi", "e", "inf", "nan", "tau"):
            return self.literal(getattr(math, node.attr), node)
        if isinstance(node.value, ast.Name) and node.value.id in names.OF_JAVASCRIPT:
            # Refused by its own name, if it is none of the program's.
            self.value(node.value)
        raise self.refuse(node, f"the attribute .{node.attr} cannot be translated")

    def module(self, node: ast.expr) -> Optional[types.ModuleType]:
        """The module that a name stands for."""
        if not isinstance(node, ast.Name) or self.scope.owner(node.id) is not None:
            return None
        found, value = self.scope.imports(node.id)
        if not found:
            found, value = self.source.outer(node.id)
        if not isinstance(value, types.ModuleType):
            return None
        if value.__name__ not in _MODULES:
            hint = names.HINTS.get(value.__name__, f"of modules, {', '.join(_MODULES[:3])} can")
            raise self.refuse(node, f"the module {value.__name__} cannot be used: {hint}")
        return value

    def outside_call(self, node: ast.Call, written: str, value: Any) -> ast.expr:
        """A call of what is defined outside of the function."""
        if value is self.shared.emit:
            return call("mr_emit", *self.fit(node, "emit", "key= val="))
        if value in _functions():
            function, signature = names.FUNCTIONS[value]
            return call(function, *self.fit(node, written, signature))
        if isinstance(value, type) and issubclass(value, Exception):
            return self.exception(node, value)
        if self.is_builtin(written, value):
            return self.builtin_call(node, written)
        if is_plain_function(value):
            if "." in written:
                raise self.refuse(node, f"{written}() cannot be translated")
            return self.plain_call(node, name(self.shared.helper(value)))
        hint = names.HINTS.get(written)
        raise self.refuse(node, f"{written}() cannot be translated" + (f": {hint}" if hint else ""))

    def exception(self, node: ast.Call, kind: type) -> ast.expr:
        """A new exception."""
        if kind.__name__ not in names.EXCEPTIONS or node.keywords:
            raise self.refuse(node, f"the exception {kind.__name__} cannot be translated")
        return call("mr_exc", constant(kind.__name__), self.items(node.args))

    def builtin_call(self, node: ast.Call, written: str) -> ast.expr:
        """A call of a built-in function."""
        if written == "isinstance":
            return self.isinstance_call(node)
        if written == "callable":
            return call("mr_callable", *self.fit(node, written, "x"))
        if written in ("min", "max"):
            rest = self.fit(
                ast.Call(node.func, [], node.keywords), written, "*key=? *default=?", node
            )
            return call(f"mr_b_{written}", self.items(node.args), *rest)
        if written in ("zip", "map"):
            if node.keywords:
                raise self.refuse(node, f"{written}() with names cannot be translated")
            if written == "zip":
                return call("mr_b_zip", self.items(node.args))
            self.no_stars(node)
            if len(node.args) < 2:
                raise self.refuse(node, "map() takes a function and what to go through")
            function, *rest = self.values(node.args)
            return call("mr_b_map", function, array(rest))
        if written == "dict":
            return self.dict_call(node)
        signature = names.BUILTINS.get(written)
        if signature is None:
            hint = names.HINTS.get(written)
            raise self.refuse(
                node, f"{written}() cannot be translated" + (f": {hint}" if hint else "")
            )
        return call(f"mr_b_{written}", *self.fit(node, written, signature))

    def dict_call(self, node: ast.Call) -> ast.expr:
        """`dict(x, a=1)`."""
        self.no_stars(node)
        if len(node.args) > 1:
            raise self.refuse(node, "dict() takes one argument")
        named = [one for key in node.keywords for one in self.keyword(key)]
        if not node.args:
            return call("mr_dict", array(named))
        made = call("mr_b_dict", self.value(node.args[0]))
        return call("mr_dict_merged", array([made, call("mr_dict", array(named))]))

    def isinstance_call(self, node: ast.Call) -> ast.expr:
        """`isinstance(x, (int, str))`."""
        if len(node.args) != 2 or node.keywords:
            raise self.refuse(node, "isinstance() takes two arguments")
        kinds = node.args[1].elts if isinstance(node.args[1], ast.Tuple) else [node.args[1]]
        for one in kinds:
            if not isinstance(one, ast.Name) or one.id not in names.TYPES:
                raise self.refuse(one, f"isinstance() knows {', '.join(sorted(names.TYPES))}")
        known = array([constant(one.id) for one in kinds if isinstance(one, ast.Name)])
        return call("mr_isinstance", self.value(node.args[0]), known)

    def no_stars(self, node: ast.Call) -> None:
        """Refuses `*args` and `**kwargs`."""
        for one in node.args:
            if isinstance(one, ast.Starred):
                raise self.refuse(one, "* cannot be translated in this call")
        for key in node.keywords:
            if key.arg is None:
                raise self.refuse(node, "** cannot be translated in this call")

    def fit(
        self, node: ast.Call, written: str, signature: str, at: Union[ast.Call, None] = None
    ) -> list[ast.expr]:
        """The arguments of a call in the order of a signature."""
        self.no_stars(node)
        at = at or node
        known = [_Parameter(one) for one in signature.split()]
        by_place = [one for one in known if not one.named_only]
        if len(node.args) > len(by_place):
            raise self.refuse(
                at, f"{written}() is given too many arguments, or some that cannot be translated"
            )
        made: dict[str, ast.expr] = {}
        for one, given in zip(by_place, node.args):
            made[one.name] = self.value(given)
        for key in node.keywords:
            fits = [one for one in known if one.name == key.arg and one.may_be_named]
            if not fits or key.arg in made:
                raise self.refuse(at, f"{written}({key.arg}=…) cannot be translated")
            assert key.arg is not None
            made[key.arg] = self.value(key.value)
        if any(one.needed and one.name not in made for one in known):
            raise self.refuse(at, f"{written}() is given too few arguments")
        while known and known[-1].name not in made:
            known.pop()
        return [made.get(one.name, name("mr_absent")) for one in known]


class _Parameter:
    """A parameter of a signature."""

    def __init__(self, text: str) -> None:
        self.named_only = text.startswith("*")
        self.needed = not text.endswith("?")
        self.may_be_named = "=" in text
        self.name = text.strip("*=?")


def is_data(value: Any) -> bool:
    """Whether a value is made of what JSON has, with tuples and sets."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return type(value) in (type(None), bool, int, float, str)
    if type(value) in (list, tuple, set):
        return all(is_data(one) for one in value)
    if type(value) is dict:
        return all(is_data(one) for item in value.items() for one in item)
    return False


class _Functions:
    """Functions that are known; what has no hash is none of them."""

    def __contains__(self, value: object) -> bool:
        return (
            callable(value)
            and getattr(value, "__hash__", None) is not None
            and (value in names.FUNCTIONS)
        )


def _functions() -> _Functions:
    return _Functions()


def _words(node: ast.AST) -> str:
    known = {
        ast.Yield: "yield",
        ast.YieldFrom: "yield",
        ast.Await: "await",
        ast.NamedExpr: ":=",
        ast.Starred: "*",
    }
    return known.get(type(node), type(node).__name__)
