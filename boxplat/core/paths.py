"""Where everything of a project lives."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from boxplat.core.errors import BoxError, ExitCode

CONFIG_NAME = "boxplat.toml"
# In the folder of a built Bento: what its declaration and its process need to know and `bento.yaml` does not say.
BENTO_FACTS = "boxplat.json"


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of one project. All state is under `.box/`, mode 0700."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / CONFIG_NAME

    @property
    def state(self) -> Path:
        return self.root / ".box"

    @property
    def database(self) -> Path:
        return self.state / "box.db"

    @property
    def lock(self) -> Path:
        return self.state / "supervisor.lock"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def supervisor_log(self) -> Path:
        return self.logs / "supervisor.log"

    @property
    def mlflow(self) -> Path:
        return self.state / "mlflow"

    @property
    def feast(self) -> Path:
        return self.state / "feast"

    @property
    def metaflow(self) -> Path:
        return self.state / "metaflow"

    @property
    def bentoml(self) -> Path:
        return self.state / "bentoml"

    @property
    def data(self) -> Path:
        return self.state / "data"

    @property
    def runs(self) -> Path:
        return self.state / "runs"

    def service_log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def run_dir(self, run_id: int) -> Path:
        return self.runs / str(run_id)

    def run_log(self, run_id: int) -> Path:
        return self.run_dir(run_id) / "run.log"

    def create(self) -> None:
        """Make every folder, private to the user.

        Raises:
            BoxError: the project folder cannot be written (exit code 4).
        """
        refuse_odd(self.root)
        # Metaflow refuses a local datastore root without this folder in it.
        folders = [self.logs, self.mlflow, self.feast, self.metaflow, self.metaflow / ".metaflow"]
        folders += [self.bentoml, self.data, self.runs]
        try:
            self.state.mkdir(mode=0o700, exist_ok=True)
            for folder in folders:
                folder.mkdir(mode=0o700, exist_ok=True)
            if self.state.stat().st_mode & 0o077:
                self.state.chmod(0o700)
        except OSError as error:
            raise unwritable(self.state, error) from error
        if not os.access(self.state, os.W_OK):
            raise unwritable(self.state, PermissionError(13, "permission denied"))


def refuse_odd(root: Path) -> None:
    """Refuse a path that the bundled tools would take for something else.

    Raises:
        BoxError: it holds `%` or `?`, which mean something in a database URL, or `$`, in a BentoML path (exit code 2).
    """
    odd = sorted(set("%?$") & set(str(root)))
    if odd:
        raise BoxError(
            f"the path of the project holds {' and '.join(odd)}: {root}",
            why="MLflow and BentoML would read or write in another folder",
            fix=f"move it: mv '{root}' some-plain-name",
            code=ExitCode.USAGE,
        )


def unwritable(path: Path, error: OSError) -> BoxError:
    """The error for a folder of ours that the user may not write."""
    return BoxError(
        f"cannot write {path}",
        why=error.strerror or str(error),
        fix=f"work on a copy in a folder of your own: cp -r {path.parent} ~/   (or: chmod -R u+rwX {path.parent})",
        code=ExitCode.PRECONDITION,
    )


def find_root(start: Path) -> Path:
    """The nearest folder at or above `start` that holds a project.

    Raises:
        BoxError: there is none (exit code 3).
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / CONFIG_NAME).is_file():
            return folder
    raise BoxError(
        f"no box here: {start} and its parents hold no {CONFIG_NAME}",
        why="every command but `init` and `doctor` works on a project folder",
        fix="box init my-project && cd my-project   (or: box --project DIR …)",
        code=ExitCode.NO_BOX,
    )
