"""Values on their way to a step, through Argo, Kubernetes and a shell, each of which reads them in its own way."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from boxplat.export import names
from boxplat.export.model import FLOWS, STORAGE, Policy

_TOKEN = "__PLACEHOLDER_PRODUCTION_TOKEN__"
_TIMESTAMP = "metaflow/deployment_timestamp"
_LONGEST_LABEL = 63
# Metaflow draws the file's name at random at every compilation.
_PARAMETERS = re.compile(r"python -m metaflow\.plugins\.argo\.set_parameters [a-z]{10} (.*?) && \. `pwd`/[a-z]{10}")
# As Metaflow's module of that name, which leaves `$`, backticks, new lines and all that is not ASCII to the shell.
_EXPORT = (
    "import base64,json,shlex,sys\n"
    "for word in sys.argv[1:]:\n"
    ' name,none,text=word.split(",")\n'
    " text=base64.b64decode(text).decode()\n"
    " try: value=json.loads(text)\n"
    " except ValueError: value=text\n"
    ' if none=="t" and text=="null": continue\n'
    " value=value if isinstance(value,str) else text\n"
    ' print("export METAFLOW_INIT_%s=%s"%(name.upper().replace("-","_"),shlex.quote(value)))'
)


def clean(value: Any, replaced: Mapping[str, str]) -> Any:
    """A copy without nulls, without the time of the compilation, and with texts replaced."""
    if isinstance(value, Mapping):
        kept = {key: item for key, item in value.items() if item is not None and key != _TIMESTAMP}
        return {key: clean(item, replaced) for key, item in kept.items()}
    if isinstance(value, list):
        return [clean(item, replaced) for item in value]
    if isinstance(value, str):
        for old, new in replaced.items():
            value = value.replace(old, new)
    return value


def placed(policy: Policy, name: str) -> dict[str, str]:
    """What `clean` puts in the place of the compilation's placeholders, for the workflow template of a name."""
    bucket, _, prefix = policy.storage.removeprefix("s3://").partition("/")
    below = f"{prefix}/metaflow/" if prefix else "metaflow/"
    return {
        _TOKEN: f"{name}-0",
        STORAGE: policy.storage,
        # The command that fetches the code names bucket and key apart.
        f'"{STORAGE.removeprefix("s3://")}", "metaflow/': f'"{bucket}", "{below}',
    }


def exported(command: str) -> str:
    """The command of the first step, in which parameters reach the environment as the texts that they are."""
    found = _PARAMETERS.search(command)
    if found is None:
        return command
    file = "flow-parameters"
    return command.replace(found[0], f"python -c '{_EXPORT}' {found[1]} > {file} && . `pwd`/{file}")


def escaped(text: str) -> str:
    """The value of a variable that Kubernetes, which expands `$(NAME)` and halves `$$`, hands on as it is."""
    return text.replace("$", "$$")


def label(text: str) -> str:
    """The value of a label that stands for a text, and is the text itself where it can be."""
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", text):
        return text
    kept = re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[: _LONGEST_LABEL - 9].strip("_.-")
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{kept}-{digest}" if kept else digest


def labelled(policy: Policy, flow: str) -> dict[str, str]:
    """The labels of everything that belongs to a flow."""
    return {**names.labels(policy.project, FLOWS), "boxplat/flow": label(flow)}
