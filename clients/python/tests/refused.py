"""Functions that cannot be translated. The comment `# here: words` marks the line that is named."""

# ruff: noqa
from __future__ import annotations

import re
import time

HUGE = ["x" * 100] * 20_000
OBJECT = object()
CALLS = []


def a_yield(key, values):
    for v in values:
        yield v  # here: write emit(key, value)


def a_class(key, values):
    class A:  # here: class
        pass


def a_with(key, values):
    x = 1
    with open("x") as f:  # here: with
        return f


def a_global(key, values):
    global CALLS  # here: global


def a_regular_expression(key, values):
    return re.findall("a", key)  # here: re


def a_module(key, values):
    x = 1
    return time.time()  # here: time


def an_import(key, values):
    import os  # here: os


def a_print(key, values):
    print(key)  # here: print


def an_open(key, values):
    return open(key)  # here: open


def an_attribute(key, values):
    return key.length  # here: .length


def a_method(key, values):
    return key.encode()  # here: encode


def a_huge_int(key, values):
    return 2 + \
        12345678901234567890  # here: 2**53


def a_default(key, values):
    def f(x, seen=[]):  # here: default
        return x
    return f(1)


def star_args(key, values):
    def f(*args):  # here: args
        return args
    return f(1)


def a_keyword(key, values):
    def f(x):
        return x
    return f(x=1)  # here: by name


def a_walrus(key, values):
    if (n := len(values)) > 1:  # here: :=
        return n


def a_huge_value(key, values):
    return HUGE[0]  # here: larger


def an_object(key, values):
    return OBJECT  # here: OBJECT


def some_bytes(key, values):
    return b"x"  # here: bytes


def an_unknown_name(key, values):
    return no_such_name  # here: no_such_name


def a_count(key, values):
    count("seen")  # here: only functions in JavaScript


def a_context(key, values):
    return ctx.phase  # here: only functions in JavaScript


def a_lambda_in_a_comprehension(key, values):
    return [lambda: v  # here: lambda
            for v in values]


def an_exception(key, values):
    try:
        return 1
    except StopIteration:  # here: exception
        return 2


def a_slice_assignment(key, values):
    values[0:1] = []  # here: assigned
    return values


def a_delete(key, values):
    del key  # here: deleted


def an_async(key, values):
    async def f():  # here: async
        return 1


def a_complex(key, values):
    return 1j  # here: complex


def a_matrix(key, values):
    return key @ values  # here: @


def in_a_helper(key, values):
    return _helper(key)


def _helper(x):
    return x.foo()  # here: foo


def a_builtin(key, values):
    return hash(key)  # here: hash


def an_option(key, values):
    return sorted(values, cmp=None)  # here: cmp


def too_few():  # here: takes key
    return 1


ALL = [
    value for name, value in list(globals().items())
    if callable(value) and not name.startswith("_") and getattr(value, "__module__", "") == __name__
]  # fmt: skip
