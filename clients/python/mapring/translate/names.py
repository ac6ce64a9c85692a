"""What of Python's library can be used in a translated function.

A signature is a text: a name for each parameter, with `?` where it may be left out, `=` where it
may be given by its name, and `*` in front where it must be.
"""

from __future__ import annotations

import ast
import json
import math
from typing import Any, Callable

#: Built-in functions, which are `mr_b_…` in JavaScript.
BUILTINS = {
    "abs": "x",
    "all": "iterable",
    "any": "iterable",
    "bin": "x",
    "bool": "x?",
    "callable": "x",
    "chr": "x",
    "divmod": "x y",
    "enumerate": "iterable= start=?",
    "filter": "function iterable",
    "float": "x?",
    "format": "x spec?",
    "hex": "x",
    "int": "x? base=?",
    "len": "x",
    "list": "x?",
    "oct": "x",
    "ord": "x",
    "pow": "base= exp= mod=?",
    "range": "start stop? step?",
    "repr": "x",
    "reversed": "x",
    "round": "number= ndigits=?",
    "set": "x?",
    "sorted": "x *key=? *reverse=?",
    "str": "x?",
    "sum": "x start=?",
    "tuple": "x?",
}

#: Those that may be given to others, such as `key=len` and `map(int, …)`.
AS_VALUES = frozenset(
    "abs all any bool chr float hex int len list ord repr reversed round set sorted str sum "
    "tuple".split()
)

#: Methods of str, list, dict and set, which are `mr_m_…` with the object in front.
METHODS = {
    "add": "x",
    "append": "x",
    "capitalize": "",
    "center": "width fill?",
    "clear": "",
    "copy": "",
    "count": "x start? stop?",
    "difference": "x",
    "discard": "x",
    "endswith": "x start? stop?",
    "extend": "x",
    "find": "x start? stop?",
    "get": "key default?",
    "index": "x start? stop?",
    "insert": "index x",
    "intersection": "x",
    "is_integer": "",
    "isalnum": "",
    "isalpha": "",
    "isdecimal": "",
    "isdigit": "",
    "isdisjoint": "x",
    "islower": "",
    "isspace": "",
    "issubset": "x",
    "issuperset": "x",
    "isupper": "",
    "items": "",
    "join": "x",
    "keys": "",
    "ljust": "width fill?",
    "lower": "",
    "lstrip": "x?",
    "partition": "x",
    "pop": "x? default?",
    "popitem": "",
    "remove": "x",
    "removeprefix": "x",
    "removesuffix": "x",
    "replace": "old new count?",
    "reverse": "",
    "rfind": "x start? stop?",
    "rindex": "x start? stop?",
    "rjust": "width fill?",
    "rpartition": "x",
    "rsplit": "sep=? maxsplit=?",
    "rstrip": "x?",
    "setdefault": "key default?",
    "sort": "*key=? *reverse=?",
    "split": "sep=? maxsplit=?",
    "splitlines": "keepends=?",
    "startswith": "x start? stop?",
    "strip": "x?",
    "swapcase": "",
    "symmetric_difference": "x",
    "title": "",
    "union": "x",
    "update": "x",
    "upper": "",
    "values": "",
    "zfill": "width",
}

#: Functions of modules: name in JavaScript, and signature.
FUNCTIONS: dict[Callable[..., Any], tuple[str, str]] = {
    eval: ("mr_literal", "x"),
    ast.literal_eval: ("mr_literal", "x"),
    json.loads: ("mr_json_loads", "x"),
    json.dumps: ("mr_json_dumps", "x *ensure_ascii=? *sort_keys=?"),
    math.floor: ("mr_math_floor", "x"),
    math.ceil: ("mr_math_ceil", "x"),
    math.trunc: ("mr_math_trunc", "x"),
    math.sqrt: ("mr_math_sqrt", "x"),
    math.fabs: ("mr_math_fabs", "x"),
    math.isnan: ("mr_math_isnan", "x"),
    math.isinf: ("mr_math_isinf", "x"),
    math.isfinite: ("mr_math_isfinite", "x"),
    math.gcd: ("mr_math_gcd", "x y"),
}

#: Exceptions that can be raised and caught.
EXCEPTIONS = frozenset(
    "ArithmeticError AssertionError AttributeError Exception IndexError JSONDecodeError KeyError "
    "LookupError NameError NotImplementedError OverflowError RecursionError RuntimeError "
    "TypeError UnboundLocalError ValueError ZeroDivisionError".split()
)

#: Types that isinstance() knows.
TYPES = frozenset("bool dict float int list set str tuple".split())

_OF_JAVASCRIPT = "only functions in JavaScript have it: write this function in JavaScript"

#: Names that mean something in JavaScript functions of a query, where a program has no such names.
OF_JAVASCRIPT = dict.fromkeys(("put", "count", "log", "fail", "retry", "ctx"), _OF_JAVASCRIPT)

#: What else one may look for, and what to do.
HINTS = {
    "print": "what a function prints is seen by nobody: emit it, or raise an error",
    "input": "nobody can be asked beside the data",
    "open": "functions read no files: store the data as objects",
    "re": "regular expressions differ from those of JavaScript: write the function in JavaScript, "
    "or use methods of str",
    "hash": "it differs from run to run",
    "id": "it differs from run to run",
    "iter": "use a for loop",
    "next": "use a for loop",
    "type": "use isinstance()",
    "frozenset": "use a tuple",
    "bytes": "values of objects come as text",
}
