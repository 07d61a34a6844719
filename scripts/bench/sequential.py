"""The sequential test on simulated outcomes: errors under continuous peeking, and power beside tests of a fixed size.

`python scripts/bench/sequential.py` prints the tables of docs/benchmarks.md; `--experiments 200` for a quick look.
Outcomes are of two kinds: squared errors of calibrated probabilities (Brier, standard deviation 0.17), and wrong or
right (one in ten). Every test looks after each unit.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boxplat.releases.comparison.betting import Array, Wealth, bets, path
from boxplat.releases.comparison.increments import split

LEVEL = 0.05
MARGIN = 0.005
# Upper quantiles of the normal distribution: for both sides at 5 %, and for a power of 80 %.
Z_LEVEL, Z_POWER = 1.959964, 0.841621
# A fixed test that is looked at begins with this many units.
FIRST_LOOK = 100

Losses = Callable[[np.random.Generator, NDArray[np.bool_], float], Array]


def brier(rng: np.random.Generator, newer: NDArray[np.bool_], effect: float) -> Array:
    """Squared errors; the newer release's are larger by `effect` on average."""
    chance = rng.beta(1.5, 4, len(newer))
    losses = np.square((rng.random(len(newer)) < chance) - chance)
    return np.clip(losses + newer * effect, 0, 1)


def wrong(rng: np.random.Generator, newer: NDArray[np.bool_], effect: float) -> Array:
    """0 or 1; wrong in one of ten, the newer release in `effect` more."""
    return (rng.random(len(newer)) < 0.1 + effect * newer).astype(float)


def drifting(rng: np.random.Generator, newer: NDArray[np.bool_], effect: float) -> Array:
    """0 or 1, from one in ten to one in two and back in long waves: as a bad day at the airport."""
    level = 0.1 + 0.4 * np.sin(np.arange(len(newer)) / 900) ** 2
    return (rng.random(len(newer)) < level + effect * newer).astype(float)


@dataclass(frozen=True)
class Scene:
    """Units of one experiment: how many, the newer release's share of them, what they lose, how many times each key
    comes (1: each is assigned by itself) and whether labels come in another order than predictions."""

    name: str
    losses: Losses
    share: tuple[float, ...]
    units: int
    visits: int = 1
    late: bool = False

    def drawn(self, rng: np.random.Generator, effect: float) -> tuple[NDArray[np.bool_], Array, Array]:
        """Who went where, with which probability, and what it lost, in the order of the labels; keys are units."""
        share = np.repeat(self.share, self.units // len(self.share))
        newer = rng.random(len(share)) < share
        if self.visits == 1:
            losses = self.losses(rng, newer, effect)
        else:
            hard = rng.beta(0.5, 2, len(share))[:, None]
            visits = rng.random((len(share), self.visits)) < hard + effect * newer[:, None]
            losses = visits.mean(axis=1)
        if not self.late:
            return newer, share, losses
        # Each label takes a time of its own.
        order = np.argsort(np.arange(len(share)) + rng.exponential(500, len(share)))
        return newer[order], share[order], losses[order]


NULLS = (
    Scene("Brier, half and half", brier, (0.5,), 10_000),
    Scene("Brier, 90 to 10", brier, (0.1,), 10_000),
    Scene("wrong or right, 90 to 10", wrong, (0.1,), 10_000),
    Scene("wrong or right, 99 to 1", wrong, (0.01,), 10_000),
    Scene("traffic changes (1, 10, 50, 20 %) while losses drift", drifting, (0.01, 0.1, 0.5, 0.2), 10_000),
    Scene("the same, labels late and out of order", drifting, (0.01, 0.1, 0.5, 0.2), 10_000, late=True),
    Scene("sticky: 10,000 keys, 5 requests each, 90 to 10", wrong, (0.1,), 10_000, visits=5),
)


def false_positives(scene: Scene, experiments: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Shares of experiments without any difference in which one is found at some time: by the sequential test, by the
    z-test looked at after each unit from the hundredth on, and by the z-test at the end only."""
    found = np.zeros(3)
    chosen, threshold = bets(MARGIN), math.log(2 / LEVEL)
    for _ in range(experiments):
        increments, _ = split(*scene.drawn(rng, 0.0))
        best = max(float(path(increments, chosen).max()), float(path(-increments, chosen).max()))
        z = np.abs(increments.cumsum()) / np.sqrt(np.maximum(np.square(increments).cumsum(), 1e-12))
        found += (best >= threshold, bool((z[FIRST_LOOK:] > Z_LEVEL).any()), z[-1] > Z_LEVEL)
    sequential, peeked, fixed = found / experiments
    return float(sequential), float(peeked), float(fixed)


def uncovered(scene: Scene, effect: float, experiments: int, rng: np.random.Generator) -> float:
    """Share of experiments with this effect in which the confidence sequence leaves it out at some time (looked at a
    hundred times, evenly)."""
    chosen, missed = bets(MARGIN), 0
    for _ in range(experiments):
        increments, weights = split(*scene.drawn(rng, effect))
        for end in np.linspace(0, len(increments), 101, dtype=int)[1:]:
            low, high = Wealth.of(increments[:end], weights[:end], chosen).interval(LEVEL)
            if not low <= effect <= high:
                missed += 1
                break
    return missed / experiments


def first(logs: Array, threshold: float) -> int:
    """Units until a threshold is passed; one more than there are where it never is."""
    passed = logs >= threshold
    return int(passed.argmax()) + 1 if passed.any() else len(logs) + 1


def contenders(increments: Array) -> dict[str, int]:
    """Units that each test needs."""
    count, both = len(increments), math.log(2 / LEVEL)
    sums, squares = increments.cumsum(), np.square(increments).cumsum()
    found = {}
    for name, chosen in (("mixture of bets (boxplat)", bets(MARGIN)), ("the same, no margin", bets())):
        sides = np.maximum(path(increments, chosen), path(-increments, chosen))
        found[name] = first(sides, both)
    n = np.arange(1, count + 1)
    before = np.concatenate([[0.0], sums[:-1]]) / np.maximum(n - 1, 1)
    variance = np.concatenate([[0.25], ((0.25 + np.square(increments - before).cumsum()) / (n + 1))[:-1]])
    bet = np.minimum(np.sqrt(2 * both / (variance * n * np.log(1 + n))), 0.75)
    up, down = (np.log1p(sign * bet * increments).cumsum() for sign in (1, -1))
    found["hedged betting [1]"] = first(np.logaddexp(up, down) - math.log(2), math.log(1 / LEVEL))
    small = np.minimum(bet, 0.5)
    cost = ((-np.log1p(-small) - small) * np.square(increments - before)).cumsum()
    found["empirical Bernstein, plug-in [1]"] = first(np.abs((small * increments).cumsum()) - cost, both)
    grid = bets(MARGIN)
    costs = np.multiply.outer(squares, -np.log1p(-grid) - grid)
    gains = np.multiply.outer(np.abs(sums), grid) - costs
    top = gains.max(axis=1)
    found["empirical Bernstein, mixture [2]"] = first(top + np.log(np.exp(gains - top[:, None]).mean(axis=1)), both)
    # Its one setting as good as can be: for the variance at the unit where the fixed test ends.
    best = squares[FIXED - 1] / (2 * both)
    normal = np.square(sums) / (2 * (squares + best)) - np.log1p(squares / best) / 2
    found["normal mixture (mSPRT), not exact [3]"] = first(normal, math.log(1 / LEVEL))
    return found


# Units that the fixed test has in the comparison of power.
FIXED = 8_000


def effect_for(scene: Scene, rng: np.random.Generator) -> float:
    """The effect that a z-test of `FIXED` units finds with a power of 80 %."""
    losses = scene.losses(rng, np.zeros(400_000, bool), 0.0)
    share = scene.share[0]
    return (Z_LEVEL + Z_POWER) * float(losses.std()) / math.sqrt(FIXED * share * (1 - share))


def power(scene: Scene, times: float, experiments: int, rng: np.random.Generator) -> tuple[float, dict[str, list[int]]]:
    """The power of the z-test after `FIXED` units, and the units that each sequential test needs, at an effect `times`
    as large as the one that the z-test finds in 80 % of the cases."""
    effect, fixed = times * effect_for(scene, rng), 0
    needed: dict[str, list[int]] = {}
    for _ in range(experiments):
        increments, _ = split(*scene.drawn(rng, effect))
        some = increments[:FIXED]
        fixed += abs(some.sum()) / math.sqrt(np.square(some).sum()) > Z_LEVEL
        for name, count in contenders(increments).items():
            needed.setdefault(name, []).append(count)
    return fixed / experiments, needed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=2000)
    parser.add_argument("--power", type=int, default=200, help="experiments for the comparison of power")
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--part", choices=("errors", "coverage", "power"), action="append")
    args = parser.parse_args()
    parts = args.part or ["errors", "coverage", "power"]
    rng = np.random.default_rng(args.seed)
    began = time.perf_counter()
    if "errors" in parts:
        print(
            f"| no difference, {args.experiments:,} experiments of 10,000 units | sequential | "
            "z-test, looked at all the time | z-test, once |"
        )
        print("|---|---|---|---|")
        for scene in NULLS:
            shares = false_positives(scene, args.experiments, rng)
            print(f"| {scene.name} | " + " | ".join(f"{share:.2%}" for share in shares) + " |", flush=True)
    if "coverage" in parts:
        scene = Scene("", wrong, (0.1,), 10_000)
        share = uncovered(scene, 0.05, args.experiments // 4, rng)
        print(f"\nthe interval left out a true effect of 0.05 in {share:.2%} of {args.experiments // 4} experiments")
    if "power" in parts:
        for scene in (
            Scene("Brier, half and half", brier, (0.5,), 30_000),
            Scene("wrong or right, 90 to 10", wrong, (0.1,), 30_000),
        ):
            for times in (1.0, 2.0):
                fixed, needed = power(scene, times, args.power, rng)
                print(
                    f"\n{scene.name}, effect {times:g} times that of 80 % power: z-test of {FIXED:,} units {fixed:.0%}"
                )
                for name, counts in needed.items():
                    all_of_them = np.array(counts)
                    within = [float((all_of_them <= FIXED * more).mean()) for more in (1, 2)]
                    print(
                        f"| {name} | {within[0]:.0%} | {within[1]:.0%} | {np.median(all_of_them):,.0f} | "
                        f"{np.minimum(all_of_them, 30_000).mean():,.0f} |",
                        flush=True,
                    )
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
