"""What the box knows of registered models: figures, gates, aliases, back ends, and where each version serves."""

from __future__ import annotations

from dataclasses import dataclass

from boxplat.core.model import ModelVersion


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate as the record has it; `outcome` is passed, refused or not judged."""

    name: str
    outcome: str
    rule: str
    found: str
    champion: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The last time that a version was to get an alias.

    `entry` is the number in the record, `at` seconds since the epoch; `moved` says whether it got the alias, `forced`
    that it did so without its gates. `champion` is the version that it was compared with; `rows` were judged, in
    `groups` independent ones. `unjudged` says why there are no gates.
    """

    entry: int
    at: float
    by: str
    alias: str
    moved: bool
    forced: bool
    reason: str
    unjudged: str
    champion: int | None
    rows: int
    groups: int
    gates: tuple[Gate, ...]

    def of(self, outcome: str) -> list[Gate]:
        """The gates with this outcome."""
        return [gate for gate in self.gates if gate.outcome == outcome]


@dataclass(frozen=True, slots=True)
class BackEnd:
    """A back end as calibration found it: chosen, accepted, refused or failed, and why.

    `ratio` is its time to that of the reference, `microseconds` a call's by rows, `difference` that of its answers,
    relative to their scale.
    """

    name: str
    verdict: str
    reason: str
    ratio: float | None
    microseconds: dict[str, float]
    memory_mib: float | None
    difference: float | None


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a version answers now: a release, and its percent of the requests (0 with `shadow`: it gets copies)."""

    endpoint: str
    release: int
    weight: int
    shadow: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """One version. `run` is the box's own run that made it, `releases` are all that it went into, as `delay@7`."""

    version: ModelVersion
    run: int | None
    judged: Judged | None
    backends: tuple[BackEnd, ...]
    serving: tuple[Serving, ...]
    releases: tuple[str, ...]

    @property
    def backend(self) -> str:
        """The back end that it runs on; empty where none was chosen."""
        return next((one.name for one in self.backends if one.verdict == "chosen"), "")


@dataclass(frozen=True, slots=True)
class Alias:
    """An alias of a model: the version that has it, the one that a rollback leads to, and the endpoints it feeds."""

    name: str
    version: int | None
    before: int | None
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered model with its versions, the newest first.

    `metric` is that of its gates (`gated`: some are declared), else the first that its versions have; `endpoints` are
    all that are declared with the model; `url` is its page on the tracking server, empty while none runs.
    """

    name: str
    metric: str
    gated: bool
    aliases: tuple[Alias, ...]
    endpoints: tuple[str, ...]
    versions: tuple[Standing, ...]
    url: str

    def beside(self, one: Standing) -> Standing | None:
        """The version to compare with: that of an alias that endpoints follow, the one before, else the next older."""
        own = one.version.version
        known = {other.version.version: other for other in self.versions if other is not one}
        for alias in sorted(self.aliases, key=lambda alias: (not alias.endpoints, alias.name != "champion")):
            for number in (alias.version, alias.before):
                if number in known:
                    return known[number]
        return known[max(older)] if (older := [number for number in known if number < own]) else None
