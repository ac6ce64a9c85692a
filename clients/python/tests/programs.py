"""Functions whose results in JavaScript are compared with Python's. Each takes (key, values)."""

# ruff: noqa
from __future__ import annotations

import json
import math

LIMIT = 3
WEIGHTS = {"a": 1, "b": 2.5, 3: [1, 2]}
CHANGED = [1]


def helper(x, times=2):
    return x * times


def loops(key, values):
    out = []
    for i in range(3):
        for j in range(3):
            if j == 2:
                break
            out.append((i, j))
        else:
            out.append("inner else")
    else:
        out.append("outer else")
    n = 0
    while n < 10:
        n += 1
        if n % 2:
            continue
        if n == 6:
            break
    else:
        out.append("never")
    while []:
        out.append("an empty list is false")
    for i in range(3):
        i = 10
    out.append(i)
    rows = [1, 2]
    for row in rows:
        if len(rows) < 5:
            rows.append(row * 10)
    return [out, n, rows]


def nested(key, values):
    count = 0
    made = []

    def up(by=1):
        nonlocal count
        count += by
        return count

    def outer(n):
        def inner(m):
            return n * m + count

        return inner

    for k in range(3):
        made.append(lambda x: x + k)
    up()
    up(5)
    times = outer(3)

    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    return [count, times(4), [f(1) for f in made], fib(10), helper(4), helper("ab", 3)]


def unpacking(key, values):
    a, b = 1, 2
    a, b = b, a
    (c, [d, e]), *f = ("x", [3, 4]), 5, 6
    first, *middle, last = range(5)
    x = y = [1]
    x.append(2)
    d2 = {"k": [0, 0]}
    d2["k"][1] += 5
    for i, (p, q) in enumerate({"m": 1, "n": 2}.items()):
        d2[p] = (i, q)
    z: int = 4
    return [a, b, c, d, e, f, first, middle, last, y, d2, z]


def inplace(key, values):
    a = [1]
    b = a
    a += [2]
    a *= 2
    s = {1, 2}
    t = s
    s |= {3}
    s -= {1}
    n = 7
    n //= 2
    n **= 2
    n -= 1.5
    text = "a"
    text += "b" * 2
    return [b, sorted(t), n, text]


def errors(key, values):
    out = []
    for f in (
        lambda: [][1],
        lambda: {}["x"],
        lambda: 1 // 0,
        lambda: int("x"),
        lambda: None + 1,
        lambda: "a" + 1,
        lambda: {[]: 1},
    ):
        try:
            out.append(f())
        except (KeyError, IndexError) as e:
            out.append("lookup")
        except ArithmeticError:
            out.append("arithmetic")
        except ValueError as e:
            out.append(str(e))
        except TypeError:
            out.append("type")
        else:
            out.append("never")
        finally:
            out.append("f")

    def raises(n):
        try:
            if n == 0:
                raise ValueError("zero", n)
            if n == 1:
                raise KeyError
            return "returned"
        except ValueError as e:
            return str(e)
        finally:
            out.append(n)

    def again():
        try:
            raises(1)
        except LookupError:
            raise

    out += [raises(0), raises(2)]
    try:
        again()
    except KeyError:
        out.append("again")
    try:
        assert len(out) == 0, "not empty"
    except AssertionError as e:
        out.append(str(e))
    try:
        1 / 1
    except ZeroDivisionError:
        out.append("never")
    else:
        out.append("well")
    return out


def unbound(key, values):
    if values == "never":
        x = 1
    try:
        return x
    except UnboundLocalError:
        return ["unbound"]


def outside(key, values):
    import json as j
    from math import floor

    seen = []
    for one in WEIGHTS:
        seen.append([one, WEIGHTS[one]])
    return [LIMIT, seen, j.dumps({"a": 1.0}), floor(2.7), math.sqrt(16), json.loads("[1.0]")]


def dicts(key, values):
    d = {"b": 1, 2: "x", "1": None}
    d[True] = 5
    d.setdefault("l", []).append(1)
    d.update({"b": 9})
    e = dict(d)
    e.pop("b")
    del e[2]
    pairs = sorted((str(k), v) for k, v in d.items())
    return [list(d), pairs, list(e.keys()), 2 in d, "2" in d, d.get("zz", 0), len(d)]


def strings(key, values):
    words = {}
    for word in "The cat. The dog!".lower().replace(".", "").strip("!").split():
        words[word] = words.get(word, 0) + 1
    width = 6
    return [words, f"{3.0} {2/3:.{2}f} {'x':>{width}}|{words!r}", "%s=%.1f" % ("a", 2), key * 2]


def truth(key, values):
    out = []
    for v in ([], {}, "", 0, 0.0, None, (), set(), [0], "0", False, range(0)):
        out.append([1 if v else 0, not v, bool(v), (v or "or") == "or", (v and "and") == "and"])
        if not v and not (v is None):
            out.append("x")
    a = [] or [1]
    return [out[:20], a, 1 < 2 < 3 and not 3 < 2 < 1]


def given(key, values):
    return [key, values, [type_of(v) for v in values]]


def type_of(v):
    if isinstance(v, bool):
        return "bool"
    for name in ("a",):
        if isinstance(v, int):
            return "int"
    return "str" if isinstance(v, str) else "dict" if isinstance(v, dict) else "other"


def words_of_javascript(key, values):
    var, new, function, this, window, undefined, let, self, null = range(9)
    class_ = {"__proto__": 1, "constructor": 2, "length": 3}
    Capital = lambda x: x + 1
    length = len([1])
    é = 5
    return [var + new + function + this + window + undefined + let + self + null, class_,
            Capital(1), length, é]  # fmt: skip


def nothing(key, values):
    """Only text."""


ALL = [
    loops, nested, unpacking, inplace, errors, unbound, outside, dicts, strings, truth, given,
    words_of_javascript,
]  # fmt: skip
