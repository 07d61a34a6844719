"""Promote: gates, then the alias, then the endpoints that follow it; and back to the version before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.model import ModelVersion
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases import aliases
from boxplat.releases.alone import alone_with_model
from boxplat.releases.deployment import deploy
from boxplat.releases.gates.verdict import Judgement
from boxplat.releases.models import versions

Told = Callable[[str], None]
ALIAS = "champion"


@dataclass(frozen=True)
class Step:
    """What to promote: `version` is a number or an alias of the model; `to` the alias that is moved.

    `force` moves it even where a gate refuses, for a `reason` that is recorded; `dry_run` only judges. `timeout`:
    seconds that each endpoint's deploy may take.
    """

    model: str
    version: str
    to: str = ALIAS
    force: bool = False
    reason: str = ""
    dry_run: bool = False
    timeout: float = 180.0


@dataclass(frozen=True)
class Promotion:
    """What became of it: `moved` says whether the alias went from `former` to `version`.

    `judgement` is None where nothing was judged: `unjudged` says why. `releases`: the endpoints that were deployed,
    with their new live release; `waiting`: those that follow the alias but are not deployed.
    """

    model: str
    version: int
    alias: str
    former: int | None
    moved: bool
    judgement: Judgement | None = None
    unjudged: str = ""
    forced: bool = False
    releases: Mapping[str, int] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether a gate keeps it from being promoted."""
        return self.judgement is not None and not self.judgement.passed and not self.forced


@dataclass(frozen=True)
class _Box:
    """What every step needs."""

    state: StateStore
    paths: Paths
    config: Config
    by: str
    told: Told


def promote(state: StateStore, paths: Paths, config: Config, wanted: Step, by: str, told: Told) -> Promotion:
    """Judge a version by the gates of its model, and move the alias and deploy its endpoints if all let it through.

    Returns:
        The promotion; where gates refuse it, nothing but the refusal's entry in the record was made, and
        `judgement.refusal()` is the error of exit code 5.

    Raises:
        BoxError: no such model or version (exit code 9), no such alias can be, no gates are declared or one makes no
            sense (2), the evidence cannot be gathered, another promotion is under way (1), or an endpoint cannot be
            deployed; then the alias is back where it was.
    """
    aliases.check(wanted.to)
    if wanted.force and not wanted.reason.strip():
        raise _no_reason(wanted)
    box = _Box(state, paths, config, by, told)
    with alone_with_model(paths, wanted.model):
        version = _version(versions(state, wanted.model), wanted)
        champion = next((one for one in versions(state, wanted.model) if wanted.to in one.aliases), None)
        former = champion.version if champion else None
        if former == version.version:
            return _already(box, wanted, version.version)
        judgement, unjudged = _judged(box, wanted, version, champion)
        forced = wanted.force and not (judgement is not None and judgement.passed)
        found = Promotion(wanted.model, version.version, wanted.to, former, False, judgement, unjudged, forced)
        if wanted.dry_run:
            return found
        if found.refused:
            reason = ", ".join(gate.name for gate in judgement.refusals) if judgement else ""
            facts = {"alias": wanted.to, "version": version.version, "former": former, "reason": f"refused by {reason}"}
            aliases.tell(state, wanted.model, aliases.REFUSED, by, facts | _evidence(found))
            return found
        return _moved(box, wanted, found)


def _already(box: _Box, wanted: Step, version: int) -> Promotion:
    """The version has the alias: see to it that the record knows, and that the endpoints serve it."""
    unjudged = f"it is {wanted.to} already"
    if wanted.dry_run:
        return Promotion(wanted.model, version, wanted.to, version, False, None, unjudged)
    aliases.noted(box.state, wanted.model, wanted.to)
    done, waiting = _follow(box, wanted, {"unjudged": unjudged}, {})
    return Promotion(wanted.model, version, wanted.to, version, False, None, unjudged, releases=done, waiting=waiting)


def rollback(
    state: StateStore,
    paths: Paths,
    config: Config,
    model: str,
    by: str,
    told: Told,
    alias: str = ALIAS,
    reason: str = "",
    timeout: float = 180.0,
) -> Promotion:
    """Move an alias back to the version that had it before, and deploy its endpoints; nothing is judged again.

    Raises:
        BoxError: nothing had it before (exit code 9), that version is gone (9), or an endpoint cannot be deployed; then
            the alias is back where it was.
    """
    box = _Box(state, paths, config, by, told)
    with alone_with_model(paths, model):
        now = aliases.noted(state, model, alias)
        target = aliases.before(state, model, alias)
        there = [one.version for one in versions(state, model)]
        if target is None or target not in there:
            raise _nothing_before(model, alias, now, target)
        wanted = Step(model, str(target), alias, reason=reason, timeout=timeout)
        found = Promotion(model, target, alias, now, False, unjudged="it was judged when it was promoted")
        return _moved(box, wanted, found, back=True)


def _judged(
    box: _Box, wanted: Step, version: ModelVersion, champion: ModelVersion | None
) -> tuple[Judgement | None, str]:
    """The judgement; or, where somebody answers for the version, why there is none."""
    from boxplat.releases.gates.judging import judged

    try:
        if wanted.model not in box.config.gates:
            raise _no_gates(wanted.model, box.paths)
        return judged(box.state, box.paths, box.config, version, champion, wanted.to, box.by, box.told), ""
    except BoxError as error:
        if not wanted.force:
            raise
        return None, f"{error.what}: {error.why}"


def _moved(box: _Box, wanted: Step, found: Promotion, back: bool = False) -> Promotion:
    """Move the alias, deploy what follows it; the alias goes back when that fails."""
    facts = {"forced": found.forced, "reason": wanted.reason.strip(), **_evidence(found)}
    kind = aliases.ROLLBACK if back else aliases.PROMOTED
    former = aliases.move(box.state, wanted.model, wanted.to, found.version, box.by, kind, facts, back=back)
    box.told(f"{wanted.to} of {wanted.model} is version {found.version} now (it was {former or 'none'})")
    done: dict[str, int] = {}
    try:
        done, waiting = _follow(box, wanted, facts, done)
    except BaseException as error:
        now = _undone(box, wanted, found.version, former, done, error)
        if isinstance(error, BoxError):
            raise _not_deployed(wanted, found, now, error) from error
        raise
    return Promotion(
        found.model,
        found.version,
        found.alias,
        former,
        True,
        found.judgement,
        found.unjudged,
        found.forced,
        done,
        waiting,
    )


def _evidence(found: Promotion) -> dict[str, Any]:
    judged = found.judgement
    if judged is None:
        return {"unjudged": found.unjudged}
    return {"passed": judged.passed, "gates": judged.told(), "evidence": judged.evidence()}


def _follow(
    box: _Box, wanted: Step, evidence: Mapping[str, Any], done: dict[str, int]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Deploy the endpoints that serve this alias; those that serve nothing now are only named.

    Args:
        evidence: for the record of the releases.
        done: gets each endpoint and its release as soon as it is live.
    """
    followed = (wanted.model, wanted.to)
    followers = [name for name, said in box.config.endpoints.items() if (said.model, said.alias) == followed]
    live = [name for name in followers if box.state.releases.traffic(name)]
    for name in live:
        done[name] = _deployed(box, wanted, name, evidence)
    return done, tuple(name for name in followers if name not in live)


def _deployed(box: _Box, wanted: Step, name: str, evidence: Mapping[str, Any]) -> int:
    reason = wanted.reason.strip() or f"{wanted.to} of {wanted.model} was moved"
    parts = (box.state, box.paths, box.config, name, box.by, wanted.timeout, box.told)
    return deploy(*parts, reason=reason, evidence=evidence).number


def _undone(
    box: _Box, wanted: Step, version: int, former: int | None, done: Mapping[str, int], error: BaseException
) -> str:
    """Put the alias back, and deploy again what had followed it; what became of that, in words."""
    why = error.what if isinstance(error, BoxError) else type(error).__name__
    facts = {"reason": f"an endpoint could not be deployed: {why}"}
    where = f"version {former}" if former is not None else "none"
    try:
        aliases.move(box.state, wanted.model, wanted.to, former, box.by, data=facts, back=True)
        for name in done if former is not None else ():
            _deployed(box, wanted, name, facts)
    except BoxError as second:
        return (
            f"{wanted.to} could not be put back to {where} with its endpoints ({second.what}), it may still be version "
            f"{version}: when that is mended, box models rollback {wanted.model} --alias {wanted.to}"
        )
    box.told(f"{wanted.to} of {wanted.model} is back at {where}")
    return f"{wanted.to} is back at {where}"


def _version(found: Sequence[ModelVersion], wanted: Step) -> ModelVersion:
    """By number or alias."""
    for one in found:
        if wanted.version == str(one.version) or wanted.version in one.aliases:
            return one
    known = [str(one.version) for one in found] + sorted({alias for one in found for alias in one.aliases})
    raise not_found(f"version of model {wanted.model}:", wanted.version, known, f"box models show {wanted.model}")


def _no_reason(wanted: Step) -> BoxError:
    return BoxError(
        "a forced promotion needs a reason",
        why="it is recorded beside the gates that refused",
        fix=f'box models promote {wanted.model} {wanted.version} --to {wanted.to} --force --reason "…"',
        code=ExitCode.USAGE,
    )


def _no_gates(model: str, paths: Paths) -> BoxError:
    return BoxError(
        f"no gates are declared for model {model}",
        why=f"{paths.config} has no [gates.{model}], so nothing says what a version must show",
        fix=f'declare them, for a start: [gates.{model}] with data = "module:function" and metric = "auc"   '
        "(docs/promotion.md)",
        code=ExitCode.USAGE,
    )


def _nothing_before(model: str, alias: str, now: int | None, target: int | None) -> BoxError:
    if target is not None:
        why = f"it was version {target}, which is not in the registry any more"
    else:
        why = f"the record knows nothing that had it before version {now}" if now else "no version has it"
    return BoxError(
        f"{alias} of {model} cannot go back",
        why=why,
        fix=f"box models promote {model} VERSION --to {alias}   (versions: box models show {model})",
        code=ExitCode.NOT_FOUND,
    )


def _not_deployed(wanted: Step, found: Promotion, now: str, error: BoxError) -> BoxError:
    return BoxError(
        f"{wanted.model} version {found.version} cannot serve: {error.what}; {now}",
        why=error.why,
        fix=error.fix,
        log=error.log,
        code=error.code,
    )
