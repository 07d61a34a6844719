"""The one door to the Kubernetes API: objects of any kind, server-side apply, strict validation."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from boxplat.core.errors import BoxError, ExitCode

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Document = dict[str, Any]

OWNER = "boxplat"
# Seconds to connect and to answer: admission webhooks have ten seconds each.
_TIMEOUT = (5.0, 40.0)
_BUSY = (429, 502, 503, 504)
_PAUSES = (0.5, 1.5, 4.0)
_PAGE = 500


class Refusal(Exception):
    """What the API server answered instead of doing what it was asked.

    Args:
        code: HTTP status. reason: Kubernetes' word for it (`Forbidden`, `Invalid`, `Conflict`, …).
        causes: (field, message) of each detail.
    """

    def __init__(self, code: int, reason: str, message: str, causes: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.causes = causes


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object that a cluster serves; `resource` is its plural name as rights and paths have it."""

    api_version: str
    name: str
    resource: str
    namespaced: bool

    @property
    def group(self) -> str:
        """Empty for the core group."""
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str = "", name: str = "") -> str:
        """The path of its objects, or of one of them."""
        place = f"/namespaces/{quote(namespace)}" if self.namespaced and namespace else ""
        end = f"/{quote(name)}" if name else ""
        return f"{_root(self.api_version)}{place}/{self.resource}{end}"


class Cluster:
    """An API server, as the user of a context sees it. Every method may raise `Refusal`.

    Args:
        client: with the address and the credentials.
        context: the name in the kubeconfig.
    """

    def __init__(self, client: ApiClient, context: str) -> None:
        self._client = client
        self.context = context
        self.server: str = client.configuration.host
        self._served: dict[str, dict[str, Kind]] = {}
        self._warned: list[str] = []

    def version(self) -> tuple[int, int]:
        """Major and minor version of the server."""
        answer = self.call("GET", "/version")
        return int(answer["major"]), int("".join(filter(str.isdigit, answer["minor"])))

    def kind(self, api_version: str, name: str) -> Kind | None:
        """A kind by its name, or None where the cluster does not serve it."""
        if api_version not in self._served:
            try:
                found = self.call("GET", _root(api_version))["resources"]
            except Refusal as refusal:
                if refusal.code != 404:
                    raise
                found = []
            self._served[api_version] = {
                entry["kind"]: Kind(api_version, entry["kind"], entry["name"], entry["namespaced"])
                for entry in found
                if "/" not in entry["name"]
            }
        return self._served[api_version].get(name)

    def may(self, verb: str, group: str, resource: str, namespace: str = "") -> bool:
        """Whether the user of the context has a right (`resource` may name a subresource, `pods/log`)."""
        plural, _, sub = resource.partition("/")
        asked = {"verb": verb, "group": group, "resource": plural, "subresource": sub, "namespace": namespace}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in asked.items() if value}},
        }
        answer = self.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
        return bool(answer["status"]["allowed"])

    def warnings(self) -> list[str]:
        """What the server warned of since the last call, each once: pods that PodSecurity will refuse, old versions."""
        said, self._warned = list(dict.fromkeys(self._warned)), []
        return said

    def read(self, kind: Kind, name: str, namespace: str = "") -> Document | None:
        """An object, or None where there is none."""
        try:
            return self.call("GET", kind.path(namespace, name))
        except Refusal as refusal:
            if refusal.code == 404:
                return None
            raise

    def list(self, kind: Kind, namespace: str = "", **selectors: str) -> Iterator[Document]:
        """Objects of a kind, page by page (`labelSelector`, `fieldSelector`)."""
        following = ""
        while True:
            query = {**selectors, "limit": str(_PAGE), **({"continue": following} if following else {})}
            answer = self.call("GET", kind.path(namespace), query=query)
            yield from answer["items"]
            following = answer["metadata"].get("continue", "")
            if not following:
                return

    def apply(self, kind: Kind, document: Document, dry_run: bool = False, force: bool = False) -> Document:
        """Server-side apply with strict validation; the object as it is then.

        Args:
            dry_run: only tell what it would be.
            force: take fields over from their other owners instead of being refused (409).
        """
        metadata = document["metadata"]
        query = {"fieldManager": OWNER, "force": str(force).lower(), "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        path = kind.path(metadata.get("namespace", ""), metadata["name"])
        return self.call("PATCH", path, document, query, "application/apply-patch+yaml")

    def create(self, kind: Kind, document: Document) -> Document:
        """A new object; not asked for again where the answer is lost, for it may be there."""
        path = kind.path(document["metadata"].get("namespace", ""))
        return self.call("POST", path, document, {"fieldManager": OWNER, "fieldValidation": "Strict"}, again=False)

    def delete(self, kind: Kind, name: str, namespace: str = "") -> bool:
        """Delete an object and, after it, what it owns; False where there is none."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        try:
            self.call("DELETE", kind.path(namespace, name), body)
        except Refusal as refusal:
            if refusal.code == 404:
                return False
            raise
        return True

    def log(self, namespace: str, pod: str, container: str, previous: bool, lines: int) -> str:
        """The last lines of a container, of its present life or of the one before."""
        path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/log"
        query = {"container": container, "previous": str(previous).lower(), "tailLines": str(lines)}
        return self._text("GET", path, None, query).decode(errors="replace")

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        again: bool = True,
    ) -> Document:
        """One request; the JSON of the answer."""
        answer: Document = json.loads(self._text(method, path, body, query, content, again))
        return answer

    def _text(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        again: bool = True,
    ) -> bytes:
        """Asked again while the server is busy or the line is cut; everything but a creation may be repeated."""
        target = f"{path}?{urlencode(query)}" if query else path
        for pause in (*(_PAUSES if again else ()), None):
            try:
                code, data = self._once(method, target, body, content)
            except OSError as error:
                if pause is None:
                    raise unreachable(self.server, self.context, error) from error
            else:
                if code < 400:
                    return data
                if code not in _BUSY or pause is None:
                    raise _refusal(code, data)
            time.sleep(pause)
        raise AssertionError("unreachable")

    def _once(self, method: str, target: str, body: Mapping[str, Any] | None, content: str) -> tuple[int, bytes]:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        # As kubectl asks: a log is plain text.
        headers = {"Accept": "application/json, */*", **({"Content-Type": content} if body is not None else {})}
        try:
            # Asked for anew each time: a token of a cloud's own command lives for minutes.
            self._client.update_params_for_auth(headers, [], ["BearerToken"], target, method, body)
            answer: Any = self._client.call_api(
                method, f"{self.server}{target}", headers, body, _request_timeout=_TIMEOUT
            )
            # Each is `299 - "text"` (RFC 7234, 5.5).
            self._warned += re.findall(r'299 \S+ "((?:[^"\\]|\\.)*)"', answer.headers.get("Warning", ""))
            return answer.status, answer.read()
        except (HTTPError, ApiException) as error:
            raise OSError(getattr(error, "reason", None) or str(error)) from error


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _refusal(code: int, data: bytes) -> Refusal:
    try:
        status = json.loads(data)
        details = status.get("details") or {}
        causes = tuple((cause.get("field", ""), cause.get("message", "")) for cause in details.get("causes") or ())
        return Refusal(code, status.get("reason", ""), status["message"], causes)
    except (ValueError, LookupError, AttributeError, TypeError):
        return Refusal(code, "", data.decode(errors="replace").strip()[:500] or f"status {code}")


def unreachable(server: str, context: str, error: Exception) -> BoxError:
    """The error for an API server that does not answer."""
    return BoxError(
        f"the cluster does not answer at {server}",
        why=f"{error}",
        fix=f"kubectl --context {context} get --raw /readyz   (a VPN? another one: box lift --context NAME)",
        code=ExitCode.PRECONDITION,
    )
