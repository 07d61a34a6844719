"""A project's Feast repository, opened the way `feast` itself would be started in it."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths

if TYPE_CHECKING:
    from feast import FeatureStore

Told = Callable[[str], None]
SETTINGS = "feature_store.yaml"


@contextlib.contextmanager
def opened(paths: Paths, config: Config, told: Told) -> Iterator[FeatureStore]:
    """The repository's store; meanwhile this process has the repository's folder and a child's environment.

    The working directory and the environment belong to the whole process: not for use from several threads at once.

    Args:
        told: hears of what takes seconds.

    Raises:
        BoxError: there is no repository (exit code 9), or its settings cannot be read (exit code 2).
    """
    repo = folder(paths, config)
    with contextlib.ExitStack() as stack:
        stack.enter_context(environment(child_environment(paths, config)))
        stack.enter_context(contextlib.chdir(repo))
        stack.enter_context(_importable(repo))
        stack.enter_context(_quiet())
        stack.enter_context(_own_backend())
        if "feast" not in sys.modules:
            told("loading Feast (some seconds)")
        with _without_torch():
            from feast import FeatureStore

        # Data on stdout is the caller's: what Feast prints there is in the way.
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        with explained(f"cannot read {repo / SETTINGS}", repo, ExitCode.USAGE):
            store = FeatureStore(repo_path=str(repo))
        yield store


def folder(paths: Paths, config: Config) -> Path:
    """The repository's folder.

    Raises:
        BoxError: it holds no `feature_store.yaml` (exit code 9).
    """
    repo = (paths.root / config.features.repo).resolve()
    if not (repo / SETTINGS).is_file():
        raise BoxError(
            f"no Feast repository at {repo}",
            why=f"it holds no {SETTINGS}",
            fix=f"make one there (feast init), or correct [features] repo in {paths.config}",
            code=ExitCode.NOT_FOUND,
        )
    return repo


@contextlib.contextmanager
def explained(what: str, repo: Path, code: ExitCode = ExitCode.FAILED, fix: str = "") -> Iterator[None]:
    """Turn whatever the user's definitions or Feast raise into an error that names the place in the repository."""
    try:
        yield
    except BoxError:
        raise
    # Definitions are a user's program and Feast raises bare exceptions: any class is possible, none may escape.
    except Exception as error:
        if type(error).__module__.startswith("google.protobuf"):
            raise _damaged(repo, error) from error
        place = _place(error, repo)
        reason = f"{type(error).__name__}: {error}".strip()
        raise BoxError(
            what,
            why=f"{place}: {reason}" if place else reason,
            fix=fix or f"correct {place or repo / SETTINGS}, then: box features apply",
            code=code,
        ) from error


def _damaged(repo: Path, error: Exception) -> BoxError:
    """Feast reads nothing but the registry as protobuf. What it held is in the definitions and in the online store."""
    return BoxError(
        f"the registry of {repo} is damaged",
        why=str(error),
        fix=f"move its file away (`registry` in {repo / SETTINGS} names it), then: box features apply",
    )


def _place(error: BaseException, repo: Path) -> str:
    """`file:line` of the deepest frame of an error inside the repository, or an empty text."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(repo)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """This process has these variables meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _importable(repo: Path) -> Iterator[None]:
    """The repository's modules can be imported, afresh: an edit since the last time must be seen."""
    sys.path.insert(0, str(repo))
    try:
        yield
    finally:
        sys.path.remove(str(repo))
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file and Path(file).is_relative_to(repo):
                del sys.modules[name]


@contextlib.contextmanager
def _without_torch() -> Iterator[None]:
    """Feast imports torch when it finds it, for images only: a second and some 200 MB that no verb needs."""
    if "torch" in sys.modules or "feast" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]


@contextlib.contextmanager
def _own_backend() -> Iterator[None]:
    """Let go of the DuckDB connection that Ibis opens for Feast; held at exit, it fills the terminal with warnings."""
    before = sys.modules["ibis"].options.default_backend if "ibis" in sys.modules else None
    try:
        yield
    finally:
        if "ibis" in sys.modules:
            sys.modules["ibis"].options.default_backend = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Feast's and its libraries' warnings and progress bars are not for the user of a verb."""
    logger = logging.getLogger("feast")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
