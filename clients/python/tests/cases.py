"""Expressions whose values in a translated function are compared with Python's own."""

from __future__ import annotations

VALUES = [
    "0", "1", "-1", "7", "-7", "True", "False", "None", "1.0", "0.0", "-0.0", "2.5",
    "-2.5", "0.1", "1e16", "1e300", "float('inf')", "float('nan')", "9007199254740991",
    "''", "'a'", "'10'", r"'\U0001F600x'", r"'\uffff'", "[]", "[1]",
    "[1, 2]", "()", "(1,)", "(1, 2)", "{}", "{'a': 1}", "{1: 2}", "range(3)",
]  # fmt: skip
OPERATORS = [
    "+", "-", "*", "/", "//", "%", "**", "&", "|", "^", "<<", ">>", "==", "!=", "<", "<=", ">",
    ">=", "in", "not in", "and", "or",
]  # fmt: skip
_HUGE = "9007199254740991"


def binary() -> list[str]:
    """Every operator between every two values, but for those whose result would be huge."""
    made = []
    for sign in OPERATORS:
        for left in VALUES:
            for right in VALUES:
                if _HUGE in left + right and sign in ("*", "**", "<<"):
                    continue
                made.append(f"({left}) {sign} ({right})")
    return made


TEXTS = [
    "''", "'a'", "'  a b  c '", "'aXbXc'", r"'\U0001F600 é ß'", "'ÀÉ ǅx'", "'12'", "'-3.5e2'",
    r"'a\nb\r\nc'", r"'\x1cq\x85'", "'hello world'", "'ΑΣ'", "'x²'", "'_1_0'", r"'\ufeffa'",
]  # fmt: skip
PLAIN_METHODS = (
    "strip lstrip rstrip lower upper title capitalize swapcase split rsplit splitlines isalpha "
    "isalnum isdigit isdecimal isspace isupper islower"
).split()
ONE_METHODS = (
    "split rsplit find rfind index rindex count startswith endswith strip lstrip rstrip partition "
    "rpartition join removeprefix removesuffix"
).split()


def texts() -> list[str]:
    """The methods of str."""
    made = [f"{text}.{method}()" for text in TEXTS for method in PLAIN_METHODS]
    parts = ["'a'", "' '", "'X'", "''", "'b '", r"'\U0001F600'", "None", "1"]
    made += [f"{text}.{one}({part})" for text in TEXTS for one in ONE_METHODS for part in parts]
    for text in TEXTS:
        for most in (-1, 0, 1, 2, 5):
            for separator in ("None", "'X'"):
                made.append(f"{text}.split({separator}, {most})")
                made.append(f"{text}.rsplit({separator}, maxsplit={most})")
            made += [f"{text}.replace({old}, '-', {most})" for old in ("'a'", "''", "'X'")]
        for width in (0, 3, 4, 7, 8):
            made += [f"{text}.{one}({width})" for one in ("ljust", "rjust", "zfill")]
            made.append(f"{text}.center({width}, '*')")
        for method in ("find", "rfind", "count", "startswith", "endswith"):
            made += [f"{text}.{method}('a', {i}, {j})" for i in (-3, 0, 1, 9) for j in (-1, 2, 9)]
    return made


def indexing() -> list[str]:
    """Items and slices."""
    bounds = ["None", "0", "1", "-1", "-3", "2", "9"]
    rows = ["'abcde'", r"'\U0001F600bc'", "[1, 2, 3, 4]", "(1, 2, 3)"]
    steps = ["None", "1", "2", "-1", "-2", "0"]
    made = [f"{row}[{i}:{j}:{k}]" for row in rows for i in bounds for j in bounds for k in steps]
    keys = ["0", "-1", "1", "5", "-9", "True", "1.0", "'1'", "None", "(1,)", "[]"]
    rows += ["{1: 5, '1': 6}", "{(1,): 1, None: 2}", "range(3, 9, 2)"]
    return made + [f"{row}[{key}]" for row in rows for key in keys]


NUMBERS = [
    "0", "1", "-1", "12345", "1234567.891", "0.5", "1.5", "2.5", "0.125", "-0.375", "1e16", "1e22",
    "1.5e-7", "123456789012345.0", "1e100", "0.1", "-0.0", "float('inf')", "float('nan')", "True",
    "'abc'", "None", "1e-5", "0.0001", "999999.5", "9.995",
]  # fmt: skip
FORMATS = [
    "", "d", "f", ".2f", ".0f", "8.3f", "<8", "^9.1f", "08.2f", "+.1f", " d", "x", "#x", "b", "e",
    ".3e", "g", ".3g", ".10g", "%", ".1%", ",", ",.2f", "_d", "c", "s", ">10", ".3", "10s", "*^12",
    "=+8d", "G", "E", ".1g", "n", "010d", "q",
]  # fmt: skip
PERCENTS = [
    "%s", "%r", "%d", "%i", "%f", "%.2f", "%5d|", "%-5d|", "%05d", "%e", "%g", "%x", "%%%s",
    "%10s|", "%-10s|", "%+d", "%c",
]  # fmt: skip


def formats() -> list[str]:
    """format(), f-strings and %."""
    made = [f"format({value}, {spec!r})" for value in NUMBERS for spec in FORMATS]
    made += [
        f"f'{{{value}:{spec}}}|{{{value}!r:>8}}'"
        for value in NUMBERS
        for spec in FORMATS
        if "'" not in value
    ]
    return made + [f"{spec!r} % ({value},)" for value in NUMBERS for spec in PERCENTS]


FUNCTIONS = (
    "int float str bool abs repr len list tuple sum sorted ord chr hex bin any dict math.floor "
    "math.ceil math.sqrt math.trunc"
).split()
NUMERALS = [
    "'12'", "' -7 '", "'1_000'", "'__1'", "'0x1f'", "'1.5'", "'1e5'", "'.5'", "'5.'", "'nan'",
    "'-inf'", "''", "'+3'", "'٣'", "'1e400'", "'9007199254740993'", "'007'", "'1 2'", "'Infinity'",
    "'1e'", "'--1'", "'ff'", "'zz'", "'0b11'", "'0o17'",
]  # fmt: skip


def numbers() -> list[str]:
    """round(), int(), float() and their kind."""
    made = [f"round({value}, {n})" for value in NUMBERS for n in (-3, -1, 0, 1, 2, 3, 20)]
    made += [f"round({value})" for value in NUMBERS]
    made += [f"{function}({value})" for function in FUNCTIONS for value in NUMBERS]
    made += [f"{function}({text})" for function in ("int", "float") for text in NUMERALS]
    return made + [f"int({text}, {base})" for text in NUMERALS for base in (0, 2, 8, 10, 16, 36)]


LITERALS = [
    "[1, 2.0, 'a', None]", "{'a': (1,), 2: [True]}", "{}", "1+1", "\"q\" 'w'", "()", "1,", "1,2",
    "-5", "1e3", "[1,]", "[,]", "r'a\\n'", r"'a\n\x41\u00e9'", "true", "", "007", "0x10", "1_0",
    "(1)", "{1:2,}", "nan", "b'x'", "'''a\nb'''", "{'name': 'Chad', 'age': 43}", "1.5.2",
    "'a", "[1 2]", "((1,),)", "--1", "1j", "'\\'\"'",
]  # fmt: skip
JSONS = [
    '{"a": 1.0, "2": [1e5, -0.0], "1": null}', r'"\u00e9\n"', "01", "1.", "-", "[1,]", '{"a" 1}',
    "true", "NaN", '"\t"', '{"a":1,"a":2}', " [] ", "{1:2}", r'"\x"', "'a'", "1 2",
    "12345678901234567890", "1E2", "", '{"__proto__": 1}', "[1 2]", "nul",
]  # fmt: skip


def literals() -> list[str]:
    """What reads and writes literals and JSON."""
    made = [f"ast.literal_eval({text!r})" for text in LITERALS]
    made += [f"json.loads({text!r})" for text in JSONS]
    values = ["1.0", r"[1, 'é\U0001F600']", "{1: 2.0, None: True, 'x': (1,)}", "float('nan')"]
    values += ["{(1,): 2}", "{1}", r"'\x7f\u2028'", "{'b': 1, 'a': 2}"]
    made += [f"json.dumps({value})" for value in values]
    return [*made, "json.dumps({'b': 'é', 'a': 2}, sort_keys=True, ensure_ascii=False)"]


OTHERS = [
    "sorted([3, 1, 2, 10, 9])", "sorted(['b', 'a', 'B'])", "sorted([1, 'a'])", "sorted({3: 1, 1: 2})",
    "sorted([(2, 'a'), (1, 'b'), (1, 'a')], reverse=True)", "sorted(['bb', 'a'], key=len)",
    "sorted([1, 2, 3, 4], key=lambda x: x % 2, reverse=True)", "max([1, 3, 2], key=lambda x: -x)",
    "min([])", "max([], default=4)", "max(1, 2.0, True)", "max('b', 'ab')", "min([2], [1, 5])",
    "[x * y for x in range(3) for y in range(x)]", "[(a, b) for a, (b, c) in [(1, (2, 3))] if c]",
    "{k: v for k, v in {'b': 1, 'a': 2}.items()}", "sorted({x % 3 for x in range(9)})",
    "sum(x for x in range(4))", "sum([0.1] * 10)", "sum([1, 2.5, 3])", "sum([1e16, 1.0, -1e16])",
    "sum([[1], [2]], [])", "sum(['a'])", "list(zip([1, 2], 'ab', range(9)))",
    "list(map(int, ['1', '2']))", "list(filter(None, [0, 1, '', 2]))", "list(enumerate('ab', 5))",
    "list(reversed([1, 2]))", "any(x > 1 for x in [0, 2])", "all([])", "dict(a=1, b=2)",
    "dict([(1, 2), (3, 4)])", "dict([1])", "{**{'a': 1}, 'b': 2, **{'a': 3}}", "[*range(2), *'ab']",
    "(1, 2) == [1, 2]", "1 == True", "'1' == 1", "{1: 2} == {1.0: 2}", "[1] == [1.0]", "[] == []",
    "{'a': 1}.get('b')", "{'a': 1}.get('b', 5)", "{1: 'x'}[True]", "{'1': 2}.get(1)", "1 < 2 < 3",
    "1 < 3 < 2", "3 > 2 >= 2 != 1", "'a' < 'b' < 'c'", "not []", "[] or {} or 'x'",
    "1 and [] and 2", "0 or False", "None is None", "True is True", "(lambda x, y=2: x + y)(1)",
    "(lambda: 5)(1)", "divmod(-7, 2)", "divmod(7.5, -2)", "pow(2, 10, 1000)", "pow(3, -1)",
    "2 ** -1", "7 // -2", "-7 % 3", "7.5 // 2", "-7.5 % 2", "1e308 * 10", "0.1 + 0.2", "1 / 3",
    "6 / 2", "10 ** 15", "10 ** 400", "str(1.0)", "str([1, 'a', None, 1.5, (1,), {'k': []}])",
    "int(3.99)", "int(-3.99)", "int('12abc')", "'%s-%d' % ('a', 3)", "'%(a)s' % {'a': 1}",
    "'{} {1}'.format(1, 2)", "'{a:>5}|{b!r}'.format(a=1, b='x')", "'{0}{0}'.format(7)",
    "'{{}}'.format()", "'{}'.format()", "isinstance(True, int)", "isinstance(1.0, float)",
    "isinstance(1, float)", "isinstance('a', (int, str))", "isinstance((), list)",
    "','.join(['a', 1])", "','.join('abc')", "'a' in {'a': 1}", "1 in [1.0]", "'' in ''",
    "[1, 2].index(5)", "'abc'.index('z')", "[1, [2]].count([2])", "chr(128512)",
    r"ord('\U0001F600')", r"len('\U0001F600')", r"'\U0001F600' < '\uffff'", "1 if [] else 2",
    "-2 ** 2", "2 ** 3 ** 2", "~5", "True + True", "5 & 3 | 4 ^ 1", "1 << 40", "1 << 53", "-5 >> 1",
    "len({1, 1.0, True})", "math.pi", "math.inf", "math.gcd(12, 18)", "[1] * -1", "3 * 'ab'",
    r"'\t\x00\x7f\xa0\u200b\ud7ff\U000e0001'", "'\"'", '"\'"', "len({} )", "{[]: 1}", "{}['a']",
    "[1, 2].pop(5)", "''[0]", "None + 1", "len(5)", "5()",
    "list({'a': 1, 2: 3})", "list({'b': 1}.values())", "('a', 1) in {('a', 1): 2}",
    "{(1, 2): 3}[(1.0, 2)]", "'\\x00sx' in {'\\x00sx': 1}", "float('1') is None", "range(5)[-1]",
    "list(range(5, 0, -2))", "range(1, 1, 0)", "bool('False')", "'a' 'b'", "1_000", "0x1f",
]  # fmt: skip

ALL = {
    "operators": binary(),
    "texts": texts(),
    "indexing": indexing(),
    "formats": formats(),
    "numbers": numbers(),
    "literals": literals(),
    "others": OTHERS,
}
