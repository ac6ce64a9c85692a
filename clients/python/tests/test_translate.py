"""What Python functions become: the same in JavaScript, or refused."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, Callable

import pytest

import mapring
from mapring import emit, query

pytest.importorskip("pscript", reason="pscript is not installed")

from mapring.translate import translate

from . import cases, programs, refused

#: Cases that are compared with one query.
AT_ONCE = 4000


def _outcome(function: Callable[[], str]) -> str:
    try:
        return function()
    except Exception as error:
        return f"!{type(error).__name__}"


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        spec.loader.exec_module(made)
    return made


def _run(conn: mapring.Connection, name: str, function: str) -> Any:
    """Runs a JavaScript function of one object on the nodes."""
    conn.bucket(name).put("k", "x")
    return conn.mapred(query.keys(name, ["k"]), [query.map_phase(function)], timeout=120)


@pytest.mark.parametrize("kind", list(cases.ALL))
def test_an_expression_means_the_same(
    conn: mapring.Connection, name: str, tmp_path: Path, kind: str
) -> None:
    expressions = cases.ALL[kind]
    refusals = 0
    for at in range(0, len(expressions), AT_ONCE):
        some = expressions[at : at + AT_ONCE]
        lines = ["import ast, json, math", "def cases(key, values):"]
        lines += [f"    def c{i}(): return repr({one})" for i, one in enumerate(some)]
        lines += [f"    return [{', '.join(f'c{i}' for i in range(len(some)))}]"]
        path = tmp_path / f"cases_{kind}_{at}.py"
        path.write_text("\n".join(lines) + "\n")
        module = _load(path)
        expected = [_outcome(one) for one in module.cases("k", [])]
        made = translate(module.cases, "reduce", emit).source.rpartition("\n")[0]
        found = _run(
            conn,
            name,
            f"{made}\n(function() {{ return f0_u_cases('k', []).map(function(f) {{"
            " try { return f(); } catch (e) { return '!' + e.name; } }); })",
        )
        assert len(found) == len(some)
        different = [
            (one, python, javascript)
            for one, python, javascript in zip(some, expected, found)
            if javascript not in (python, "!NotTranslated")
        ]
        assert not different, different[:20]
        refusals += list(found).count("!NotTranslated")
    # Refusals are for odd ends: whole parts of the language are not refused.
    assert refusals <= max(20, len(expressions) // 15)


@pytest.mark.parametrize("function", programs.ALL, ids=lambda one: one.__name__)
def test_a_program_means_the_same(
    conn: mapring.Connection, name: str, function: Callable[..., Any]
) -> None:
    values = [1, -2, "é", {"b": [1.5, None], "a": True}, []]
    text = repr(function("k", json.loads(json.dumps(values))))
    made = translate(function, "reduce", emit, as_text=True).source
    head, _, call = made.rpartition("\n")
    run = f"{head}\n(function() {{ return {call}('k', {json.dumps(values)}); }})"
    assert list(_run(conn, name, run)) == [["k", text]]


def test_none_is_no_output(conn: mapring.Connection, name: str) -> None:
    head, _, call = translate(programs.nothing, "reduce", emit).source.rpartition("\n")
    assert list(_run(conn, name, f"{head}\n(function() {{ return {call}('k', []); }})")) == []


@pytest.mark.parametrize("function", refused.ALL, ids=lambda one: one.__name__)
def test_what_cannot_be_translated_is_refused_with_its_line(function: Callable[..., Any]) -> None:
    lines = Path(refused.__file__).read_text().splitlines()
    with pytest.raises(mapring.TranslationError) as caught:
        translate(function, "reduce", emit)
    assert caught.value.line is not None
    assert caught.value.filename == refused.__file__
    marked = lines[caught.value.line - 1]
    assert "# here: " in marked, caught.value
    assert marked.split("# here: ")[1].lower() in caught.value.reason.lower()


def test_a_value_from_outside_cannot_be_changed(conn: mapring.Connection, name: str) -> None:
    def change(key: Any, values: Any) -> Any:
        programs_changed.append(1)
        return 1

    programs_changed = [1]
    head, _, call = translate(change, "reduce", emit).source.rpartition("\n")
    with pytest.raises(mapring.QueryError, match="copy here"):
        _run(conn, name, f"{head}\n(function() {{ return {call}('k', []); }})")


def test_lambdas_and_methods() -> None:
    class Job:
        def reduce(self, key: Any, values: Any) -> Any:
            return len(values)

        def uses_itself(self, key: Any, values: Any) -> Any:
            return self

    first, second = (lambda key, values: len(values)), (lambda key, values: key)
    assert "mr_b_len" in translate(first, "reduce", emit).source
    assert "mr_b_len" not in translate(second, "reduce", emit).source
    assert "mr_b_len" in translate(Job().reduce, "reduce", emit).source
    with pytest.raises(mapring.TranslationError, match="not there on the nodes"):
        translate(Job().uses_itself, "reduce", emit)


def test_what_is_missing_is_named_so_that_it_can_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pscript", None)
    with pytest.raises(mapring.MapringError, match=r"pip install pscript==(\S+) ") as caught:
        translate(programs.nothing, "reduce", emit)
    project = Path(__file__).parents[1].joinpath("pyproject.toml").read_text()
    version = str(caught.value).split("pscript==")[1].split()[0]
    assert f'python = ["pscript=={version}"]' in project


def test_functions_without_text_are_refused() -> None:
    made: dict[str, Any] = {}
    exec("def f(key, values): return 1", made)
    with pytest.raises(mapring.TranslationError, match="cannot be read"):
        translate(made["f"], "reduce", emit)
    with pytest.raises(mapring.TranslationError, match="JavaScript text"):
        translate(len, "reduce", emit)


def test_the_runtime_has_no_more_than_is_needed() -> None:
    def small(key: Any, values: Any) -> Any:
        return 1

    assert len(translate(small, "reduce", emit).source) < 10_000
    assert inspect.isfunction(small)
