"""What the demo ends with: the model's figures, the prediction, and what to try next."""

from __future__ import annotations

import json
import sys

from boxplat import Box

MOST_MOVED = 5


def main(seconds: int) -> None:
    box = Box()
    champion = next(version for version in box.models.show("delay") if "champion" in version.aliases)
    answer = json.loads((box.paths.data / "example_answer.json").read_text())
    shown = box.status()
    services = {row.name: row for row in shown.services}
    endpoint = next(row for row in shown.endpoints if row.name == "delay")
    print(f"\nmodel      delay version {champion.version} (champion)")
    print(f"test AUC   {champion.metrics['auc']:.4f}")
    print(f"Brier      {champion.metrics['brier']:.4f}")
    print(f"ECE        {champion.metrics['ece']:.4f}")
    first, *others = answer["predictions"]
    tell(first, answer)
    for one in others:
        print(headline(one))
    print(f"\nready in {seconds} s. Look at it:")
    print(f"  MLflow         {services['tracking'].url}")
    print(f"  the endpoint   {endpoint.url}   (its API: {endpoint.url}/docs.json)")
    print("\nTry next (after: . .venv/bin/activate):")
    for command, why in (
        ("box tui", "the dashboard"),
        ("box predict delay @.box/data/example_request.json", "ask again"),
        ("box why delay@1", "what release 1 was made of, back to code and data"),
        ("box run flows/train.py --param seed=1 --wait", "train a challenger"),
        ("box models promote delay 2 --to champion --dry-run", "would it pass the gates? docs/promotion.md"),
        ("box models calibrate delay", "let it answer faster: docs/backends.md"),
        ("box export kubernetes -o k8s", "the same project for a cluster"),
        ("box down", "stop it all"),
    ):
        print(f"  {command:52} {why}")


def headline(one: dict[str, object]) -> str:
    return f"prediction {one['flight']}: {one['probability']:.3f}, {'late' if one['late'] else 'on time'}"


def tell(one: dict[str, object], answer: dict[str, object]) -> None:
    """One prediction with the ages of its features and what moved it most."""
    ages = dict(one["feature_age_minutes"])  # type: ignore[call-overload]
    print(f"\n{headline(one)} (model version {answer['model_version']})")
    print(f"  features as of {one['as_of']}; age in minutes of each view:")
    rows = [f"{view} {age}" for view, age in ages.items()]
    for start in range(0, len(rows), 4):
        print("    " + "  ".join(row.ljust(28) for row in rows[start : start + 4]).rstrip())
    explanation = one.get("explanation")
    if isinstance(explanation, dict):
        print("  what moved it most (log-odds against the median flight):")
        for part in explanation["top"][:MOST_MOVED]:
            print(f"    {part['contribution']:+.3f}  {part['feature']} = {part['value']}")


main(int(sys.argv[1]))
