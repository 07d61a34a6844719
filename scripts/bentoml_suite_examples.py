"""BentoML's own examples, unmodified, under both servers: python scripts/bentoml_suite_examples.py FOLDER

FOLDER holds clones of bentoml/BentoML, bentoml/quickstart, bentoml/BentoIris and bentoml/BentoMLflow. Beside these
every complete service of BentoML's manual is taken from its pages. Each API gets the requests of `REQUESTS`
or some made from its schema; what differs in status, content type or body is printed. See docs/upstream-tests.md.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.serving.cases import Case, everywhere
from tests.serving.conftest import Answered, Pair, ask, compared

HERE = Path(__file__).parent
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.2, 2.9, 4.3, 1.3]]
# By the name of an argument.
REQUESTS: dict[str, Any] = {"input_series": ROWS, "input_data": ROWS, "client_id": "me", "texts": ["A text.", "B."]}
_OWN = re.compile(rb'"task_id": ?"[^"]*"|/tmp/[^"]*')
_BLOCK = re.compile(r"^( *)\.\. code-block:: python\n((?:\1 +.*\n|\s*\n)+)", re.MULTILINE)
_SERVICE = re.compile(r"@bentoml\.service.*?^class (\w+)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Example:
    name: str
    folder: Path
    target: str
    prepare: tuple[str, ...] = ()


# MLflow refuses by now to save the example's classifier unless it is told how.
_SAVE = """import functools, runpy, mlflow.sklearn
mlflow.sklearn.save_model = functools.partial(mlflow.sklearn.save_model, serialization_format="cloudpickle")
runpy.run_path("save_model.py")"""


def projects(root: Path) -> Iterator[Example]:
    """The example projects whose models are made on the spot, or stood in for."""
    yield Example("quickstart", root / "quickstart", "service:Summarization")
    yield Example("BentoIris", root / "BentoIris", "service:IrisClassifier", ("prepare_model.py",))
    for name in ("", "_batching", "_io_validate", "_standardized_api"):
        target = f"service{name}:IrisClassifier"
        yield Example(f"BentoMLflow{name}", root / "BentoMLflow", target, ("-c", _SAVE))


def manual(root: Path, scratch: Path) -> Iterator[Example]:
    """Each block of the manual that is a service, in a folder of its own."""
    for page in sorted((root / "BentoML" / "docs" / "source").rglob("*.rst")):
        for number, found in enumerate(_BLOCK.finditer(page.read_text("utf-8"))):
            code = textwrap.dedent(found[2])
            code = re.sub(r"^\s*:\w+:.*\n", "", code, flags=re.MULTILINE)
            names = _SERVICE.findall(code)
            if names and "import bentoml" in code:
                folder = scratch / f"{page.stem}_{number}"
                folder.mkdir()
                (folder / "service.py").write_text(code, "utf-8")
                yield Example(f"{page.stem} {number}", folder, f"service:{names[-1]}")


def requests(url: str) -> Iterator[Case]:
    """For each API of a running service."""
    schema = ask(url, Case("/schema.json", None, {}, "GET"))
    # An application of the user's own may lie over it.
    for route in json.loads(schema.body)["routes"] if schema.status == 200 else []:
        properties = route["input"].get("properties", {})
        given = {name: REQUESTS.get(name, _value(kind)) for name, kind in properties.items()}
        whole = REQUESTS["input_data"] if route["input"].get("root_input") else given
        yield Case(route["route"], json.dumps(whole).encode())
        yield from everywhere(route["route"])
    yield Case("/docs.json", None, {}, "GET")


def _value(kind: dict[str, Any]) -> Any:
    made: dict[str, Any] = {"string": "x", "integer": 1, "number": 0.5, "boolean": True, "array": [], "tensor": ROWS}
    return kind.get("default", made.get(kind.get("type", ""), {}))


def differences(pair: Pair) -> tuple[int, list[str]]:
    """How many requests were made, and which were answered differently."""
    asked, found = 0, []
    for case in requests(pair.stock):
        ours, stock = (_fixed(ask(url, case)) for url in (pair.ours, pair.stock))
        asked += 1
        if ours != stock:
            found.append(f"{case}\n  ours:  {ours}\n  stock: {stock}")
    return asked, found


def _fixed(answer: Answered) -> Answered:
    return replace(answer, body=_OWN.sub(b"", answer.body))


def run(example: Example, scratch: Path) -> str:
    """One line about it; more where answers differ."""
    home = str(scratch / "home")
    stand_ins = os.pathsep.join([str(HERE / "bentoml_suite_models"), os.environ.get("PYTHONPATH", "")])
    env = {"BENTOML_HOME": home, "PYTHONPATH": stand_ins, "HF_HUB_OFFLINE": "1"}
    folder = scratch / "copy"
    shutil.copytree(example.folder, folder)
    # A service that cannot be imported here needs what nobody installed, or is no whole program.
    imported = ("-c", f"import importlib; importlib.import_module({example.target.split(':')[0]!r})")
    for argv in filter(None, (example.prepare, imported)):
        done = subprocess.run([sys.executable, *argv], cwd=folder, env=os.environ | env, capture_output=True, text=True)
        if done.returncode:
            return f"cannot run: {(done.stderr.strip().splitlines() or ['?'])[-1][:110]}"
    try:
        with compared(folder, example.target, scratch, **env) as pair:
            asked, found = differences(pair)
    except AssertionError:
        words = [(scratch / name / "log").read_text().strip().splitlines() or ["?"] for name in ("stock", "ours")]
        return f"does not start: {words[0][-1][:150]} (stock), {words[1][-1][:150]} (ours)"
    return "\n".join([f"{asked} requests, {len(found)} different", *found])


def main() -> None:
    root = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for number, example in enumerate([*projects(root), *manual(root, scratch)]):
            (scratch / str(number)).mkdir()
            print(f"{example.name}: {run(example, scratch / str(number))}", flush=True)


if __name__ == "__main__":
    main()
