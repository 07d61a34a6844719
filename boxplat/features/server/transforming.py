"""What only Feast can answer: on-demand transformations, pinned versions. Feast is loaded when first needed."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.errors import BoxError
from boxplat.features.server import refusal
from boxplat.features.server.forms import Form
from boxplat.features.server.refusal import Refused

if TYPE_CHECKING:
    from feast import FeatureStore

# What Feast raises for a caller's mistakes; its server says 500 to them.
_MISTAKES = (KeyError, ValueError, TypeError, AssertionError, AttributeError)


class Feast:
    """Feast itself, in this process, one call at a time; for calls from other threads than the event loop's."""

    def __init__(self, repo: Path) -> None:
        self._repo = repo
        self._store: FeatureStore | None = None
        self._lock = threading.Lock()

    def read(self, form: Form) -> bytes:
        """The answer to a read as Feast's server gives it.

        Raises:
            Refused: what Feast raises, in its own form.
        """
        from feast.feature_server_utils import convert_response_to_dict

        with self._lock:
            try:
                store = self._opened()
                service = form["feature_service"]
                answer = store.get_online_features(
                    features=store.get_feature_service(service) if service else list(form["features"]),
                    entity_rows=form["entities"],
                    full_feature_names=form["full_feature_names"],
                    include_feature_view_version_metadata=form["include_feature_view_version_metadata"],
                )
                found = convert_response_to_dict(answer.proto)
            except BoxError:
                raise
            # A transformation is a user's program: any class is possible, and none may end the server.
            except Exception as error:
                raise _told(error) from error
        return json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()

    def write(self, view: str, columns: Mapping[str, list[Any]], transform: bool) -> None:
        """Rows of an on-demand view that is stored: transformed if asked for, then written.

        Raises:
            Refused: what Feast raises, in its own form.
        """
        with self._lock:
            try:
                self._opened().write_to_online_store(view, inputs=dict(columns), transform_on_write=transform)
            except BoxError:
                raise
            except Exception as error:
                raise _told(error) from error

    def _opened(self) -> FeatureStore:
        if self._store is None:
            # Transformations may import the repository's modules.
            sys.path.append(str(self._repo))
            from feast import FeatureStore

            self._store = FeatureStore(repo_path=str(self._repo))
        self._store.refresh_registry()  # type: ignore[no-untyped-call]
        return self._store


def _told(error: Exception) -> Refused:
    from feast.errors import FeastError, FeatureNameCollisionError

    if isinstance(error, FeastError):
        known = isinstance(error, FeatureNameCollisionError)
        return Refused(refusal.BAD_REQUEST if known else error.http_status_code(), error.to_error_detail())
    return Refused(refusal.BAD_REQUEST if isinstance(error, _MISTAKES) else refusal.SERVER_ERROR, str(error))
