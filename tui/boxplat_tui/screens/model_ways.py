"""The ways to promote, roll back and deploy a model version, each as a command. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from boxplat.core.registry import Alias, Registered, Standing
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.screens.choose import Choice

_CHAMPION = Alias("champion", None, None, ())
_CANARY = 10


def promotions(model: Registered, one: Standing) -> list[Choice]:
    """Judge a version only, promote it to an alias that there is or to another, or force it with a reason."""
    number, known = one.version.version, _known(model)
    to = [alias for alias in known if alias.version != number]
    return [
        *[
            Choice(f"judge it as {one.name} only; nothing is changed", _always(_judge(model, number, one)))
            for one in to[:1]
        ],
        *[Choice(f"to {one.name}, if its gates let it through", _always(_promote(model, number, one))) for one in to],
        Choice("to another alias …", lambda typed: _promote(model, number, _named(known, typed)), "its name"),
        *[_forced(model, number, alias) for alias in to[:1]],
    ]


def _known(model: Registered) -> Sequence[Alias]:
    """The aliases with those that endpoints follow first; there is always a champion."""
    has = any(alias.name == _CHAMPION.name for alias in model.aliases)
    known = model.aliases if has else (*model.aliases, _CHAMPION)
    return sorted(known, key=lambda alias: (not alias.endpoints, alias.name != _CHAMPION.name, alias.name))


def _always(command: Command) -> Callable[[str], Command]:
    return lambda _: command


def _named(known: Iterable[Alias], typed: str) -> Alias:
    if not typed:
        raise ValueError("an alias needs a name")
    return next((alias for alias in known if alias.name == typed), Alias(typed, None, None, ()))


def _judge(model: Registered, number: int, alias: Alias) -> Command:
    return commands.judge(model.name, number, alias.name)


def _live(model: Registered, alias: Alias) -> list[str]:
    """The endpoints that follow an alias and serve something: these are deployed when it moves."""
    serving = {place.endpoint for one in model.versions for place in one.serving if place.weight}
    return [endpoint for endpoint in alias.endpoints if endpoint in serving]


def _promote(model: Registered, number: int, alias: Alias) -> Command:
    return commands.promote(model.name, number, alias.name, alias.version, _live(model, alias))


def _forced(model: Registered, number: int, alias: Alias) -> Choice:
    def make(reason: str) -> Command:
        if not reason:
            raise ValueError("a forced promotion needs a reason: it is recorded")
        return commands.force(model.name, number, alias.name, alias.version, _live(model, alias), reason)

    return Choice(f"to {alias.name}, whatever its gates say …", make, "the reason, for the record")


def rollbacks(model: Registered) -> list[Choice]:
    """Each alias back to the version that had it before; none where none is known."""
    return [
        Choice(
            f"{alias.name} from v{alias.version} back to v{alias.before}",
            _always(commands.models_rollback(model.name, alias.name, alias.version, alias.before, _live(model, alias))),
        )
        for alias in _known(model)
        if alias.version is not None and alias.before is not None
    ]


def deploys(model: Registered, one: Standing) -> list[Choice]:
    """On each endpoint that is declared with the model: all requests, a few, or as many as are typed."""
    return [choice for endpoint in model.endpoints for choice in _deploys(model, one, endpoint)]


def _deploys(model: Registered, one: Standing, endpoint: str) -> list[Choice]:
    def make(percent: int) -> Command:
        return replace(
            commands.deploy(endpoint, str(one.version.version), percent), effect=_effect(model, one, endpoint, percent)
        )

    return [
        Choice(f"on {endpoint}, with all requests", _always(make(100))),
        Choice(f"on {endpoint}, with {_CANARY} % of the requests", _always(make(_CANARY))),
        Choice(f"on {endpoint}, with another share …", lambda typed: make(_percent(typed)), "percent of the requests"),
    ]


def _effect(model: Registered, one: Standing, endpoint: str, percent: int) -> str:
    now = [
        f"#{place.release} (v{other.version.version}) has {place.weight} %"
        for other in model.versions
        for place in other.serving
        if place.endpoint == endpoint and place.weight
    ]
    share = "all requests" if percent == 100 else f"{percent} % of the requests"
    before = f" Now {', '.join(now)}." if now else " It serves nothing now."
    doubt = " Gates refused this version." if one.judged is not None and one.judged.of("refused") else ""
    return f"This makes a release of {endpoint} with version {one.version.version} and sends it {share}.{before}{doubt}"


def _percent(typed: str) -> int:
    if not typed.isdecimal() or not 1 <= int(typed) <= 100:
        raise ValueError("percent: a whole number from 1 to 100")
    return int(typed)
