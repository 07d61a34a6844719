"""Argo's templates (`{{inputs.parameters.x}}`, `{{=…}}`), conditions and dependencies: the part that Metaflow uses."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Scope = Mapping[str, Any]
_TAG = re.compile(r"\{\{(=?)((?:[^}]|\}(?!\}))*)\}\}")
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<number>-?\d+(?:\.\d+)?)
    |(?P<name>[A-Za-z_][\w-]*)|(?P<sign>&&|\|\||[=!]=|[?:!().,\[\]]))""",
    re.VERBOSE,
)
_RESULTS = "Succeeded|Failed|Errored|Skipped|Omitted|Daemoned"
_DEPENDENCY = re.compile(rf"([A-Za-z_][\w-]*)(?:\.({_RESULTS}))?")
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "asInt": int,
    "asFloat": float,
    "string": str,
    "toBase64": lambda text: base64.b64encode(str(text).encode()).decode(),
    "toJson": json.dumps,
    "sprig.int": lambda value: int(float(value)),
    "sprig.sub": lambda one, other: one - other,
    "sprig.add": lambda one, other: one + other,
}


class Unresolved(ValueError):
    """A template or an expression that says something that nobody knows."""


def filled(value: Any, scope: Scope, left: tuple[str, ...] = ()) -> Any:
    """A value with the templates in all its texts replaced.

    Args:
        scope: what there is, by its dotted name (`inputs.parameters.input-paths`).
        left: beginnings of names that stay as they are written: outputs of tasks that did not run.

    Raises:
        Unresolved: a template names something else.
    """
    if isinstance(value, Mapping):
        return {key: filled(item, scope, left) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, scope, left) for item in value]
    if not isinstance(value, str):
        return value
    return _TAG.sub(lambda found: _tag(found, scope, left), value)


def text(value: Any) -> str:
    """A value as Argo writes it into a parameter."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def holds(condition: str, scope: Scope) -> bool:
    """Whether `when` is true. Words that stand for nothing are texts (`Failed != Succeeded`)."""
    return _truth(_Parser(filled(condition, scope), {}, bare=True).value())


def true(expression: str, scope: Scope) -> bool:
    """Whether the `expression` of a hook is true."""
    return _truth(_Parser(expression, scope).value())


def named(depends: str) -> set[str]:
    """The tasks that a task's `depends` waits for."""
    return {found[1] for found in _DEPENDENCY.finditer(depends)}


def fulfilled(depends: str, results: Mapping[str, str]) -> bool:
    """Whether `depends` lets its task start, once all that it names have ended.

    Args:
        results: Succeeded, Failed, Skipped or Omitted, by task. A bare name means that it succeeded or was skipped.
    """
    if not depends:
        return True

    def said(found: re.Match[str]) -> str:
        wanted = (found[2],) if found[2] else ("Succeeded", "Skipped", "Daemoned")
        return "true" if results[found[1]] in wanted else "false"

    return _truth(_Parser(_DEPENDENCY.sub(said, depends), {}).value())


def _tag(found: re.Match[str], scope: Scope, left: tuple[str, ...]) -> str:
    inner = found[2].strip()
    if found[1]:
        return text(_Parser(inner, scope).value())
    if inner in scope:
        return text(scope[inner])
    if left and inner.startswith(left):
        return found[0]
    raise Unresolved(f"nothing is known of {found[0]}")


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unresolved(f"a condition gives {value!r}, which is neither true nor false")
    return value


class _Parser:
    """Recursive descent over `a ? b : c`, `||`, `&&`, `==`, `!=`, `!`, calls, `a.b['c-d']` and literals."""

    def __init__(self, expression: str, scope: Scope, bare: bool = False) -> None:
        self._text, self._scope, self._bare, self._at = expression, scope, bare, 0
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while expression[at:].strip():
            found = _TOKEN.match(expression, at)
            if found is None or found.lastgroup is None:
                raise Unresolved(f"cannot read {expression[at:]!r} in {expression!r}")
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()

    def value(self) -> Any:
        found = self._choice()
        if self._at < len(self._tokens):
            raise Unresolved(f"cannot read {self._tokens[self._at][1]!r} in {self._text!r}")
        return found

    def _took(self, sign: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == ("sign", sign):
            self._at += 1
            return True
        return False

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise Unresolved(f"{self._text!r} breaks off")
        self._at += 1
        return self._tokens[self._at - 1]

    def _must(self, sign: str) -> None:
        if not self._took(sign):
            raise Unresolved(f"no {sign!r} where {self._text!r} needs one")

    def _choice(self) -> Any:
        found = self._either()
        if not self._took("?"):
            return found
        yes = self._choice()
        self._must(":")
        no = self._choice()
        return yes if _truth(found) else no

    def _either(self) -> Any:
        found = self._both()
        while self._took("||"):
            other = self._both()
            found = _truth(found) or _truth(other)
        return found

    def _both(self) -> Any:
        found = self._compared()
        while self._took("&&"):
            other = self._compared()
            found = _truth(found) and _truth(other)
        return found

    def _compared(self) -> Any:
        found = self._single()
        if self._took("=="):
            return found == self._single()
        if self._took("!="):
            return found != self._single()
        return found

    def _single(self) -> Any:
        if self._took("!"):
            return not _truth(self._single())
        if self._took("("):
            found = self._choice()
            self._must(")")
            return found
        kind, token = self._next()
        if kind == "text":
            return token[1:-1] if token[0] == "'" else json.loads(token)
        if kind == "number":
            return float(token) if "." in token else int(token)
        if kind == "name":
            return self._reference(token)
        raise Unresolved(f"cannot read {token!r} in {self._text!r}")

    def _reference(self, name: str) -> Any:
        constants = {"true": True, "false": False, "nil": None}
        if name in constants:
            return constants[name]
        while True:
            if self._took("."):
                name += f".{self._next()[1]}"
            elif self._took("["):
                name += f".{self._next()[1][1:-1]}"
                self._must("]")
            else:
                break
        if self._took("("):
            return self._call(name)
        if name in self._scope:
            return self._scope[name]
        if self._bare:
            return name
        # A task that has not run has no outputs; expr gives nil for them.
        return None

    def _call(self, name: str) -> Any:
        given: list[Any] = []
        while not self._took(")"):
            given.append(self._choice())
            self._took(",")
        if name not in _FUNCTIONS:
            raise Unresolved(f"function {name} is not one that Metaflow writes")
        return _FUNCTIONS[name](*given)
