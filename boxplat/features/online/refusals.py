"""What Feast refuses to resolve, as errors in four parts. Imports Feast."""

from __future__ import annotations

from functools import cache
from typing import Any

from feast import utils
from feast.errors import FeastObjectNotFoundException
from feast.feature_service import FeatureService
from feast.infra.registry.base_registry import BaseRegistry

from boxplat.core.errors import BoxError, ExitCode, not_found

_FIX = "box features apply"


def refusal(error: Exception, registry: BaseRegistry, project: str, features: list[str] | FeatureService) -> Exception:
    """Feast's error with the four parts; an object of Feast's own class too, for callers that catch that."""
    told = _unknown(registry, project, features) or _other(error, features)
    kind: Any = type(error)
    made: Exception = _class(kind).__new__(_class(kind))
    # Feast's classes take arguments of their own; what they make of them is already in `told`.
    BoxError.__init__(made, told.what, why=told.why, fix=told.fix, code=told.code)  # type: ignore[arg-type]
    return made


@cache
def _class(kind: Any) -> type[Exception]:
    def remember(self: Any, what: str, *_: Any) -> None:
        self.args = (what,)

    # After BoxError, so that its `super().__init__(what)` ends here and not in a class that wants other arguments.
    end = type("End", (), {"__init__": remember})
    return type(kind.__name__, (BoxError, end, kind), {"__module__": kind.__module__})


def _unknown(registry: BaseRegistry, project: str, features: list[str] | FeatureService) -> BoxError | None:
    """What is not in the registry, with the nearest that is."""
    if isinstance(features, FeatureService):
        known = [service.name for service in registry.list_feature_services(project, allow_cache=True)]
        return None if features.name in known else not_found("feature service", features.name, known, _FIX)
    views = {view.name: view for view in registry.list_all_feature_views(project, allow_cache=True)}
    for reference in features:
        if ":" not in reference:
            return BoxError(
                f"{reference!r} names no feature",
                why="a reference is a view and one of its features",
                fix=f"ask for '{reference}:FEATURE', or for a feature service",
                code=ExitCode.USAGE,
            )
        name, _, feature = utils._parse_feature_ref(reference)
        if name not in views:
            return not_found("feature view", name, views, _FIX)
        fields = [field.name for field in views[name].features]
        if feature not in fields:
            return not_found(f"feature of {name}", feature, fields, _FIX)
    return None


def _other(error: Exception, features: list[str] | FeatureService) -> BoxError:
    what = features.name if isinstance(features, FeatureService) else ", ".join(features)
    code = ExitCode.NOT_FOUND if isinstance(error, FeastObjectNotFoundException) else ExitCode.USAGE
    why = str(error.args[0]) if error.args else str(error)
    return BoxError(f"{what} cannot be read", why=why or type(error).__name__, fix=_FIX, code=code)
