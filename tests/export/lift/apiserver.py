"""An API server of the tests' own: real HTTP, server-side apply in memory, answers as Kubernetes 1.36 words them.

What it leaves out: lists are atomic in an apply, and schemas are not known (a field named `unknownField` stands for all
that strict validation refuses).
"""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

Object = dict[str, Any]

# kind → (group/version, plural, namespaced)
KINDS = {
    "Namespace": ("v1", "namespaces", False),
    "Node": ("v1", "nodes", False),
    "Secret": ("v1", "secrets", True),
    "ConfigMap": ("v1", "configmaps", True),
    "Service": ("v1", "services", True),
    "ServiceAccount": ("v1", "serviceaccounts", True),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims", True),
    "ResourceQuota": ("v1", "resourcequotas", True),
    "LimitRange": ("v1", "limitranges", True),
    "Pod": ("v1", "pods", True),
    "Event": ("v1", "events", True),
    "Deployment": ("apps/v1", "deployments", True),
    "StatefulSet": ("apps/v1", "statefulsets", True),
    "ReplicaSet": ("apps/v1", "replicasets", True),
    "Job": ("batch/v1", "jobs", True),
    "CronJob": ("batch/v1", "cronjobs", True),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers", True),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets", True),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies", True),
    "Role": ("rbac.authorization.k8s.io/v1", "roles", True),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings", True),
    "PriorityClass": ("scheduling.k8s.io/v1", "priorityclasses", False),
    "StorageClass": ("storage.k8s.io/v1", "storageclasses", False),
    "Workflow": ("argoproj.io/v1alpha1", "workflows", True),
    "WorkflowTemplate": ("argoproj.io/v1alpha1", "workflowtemplates", True),
    "CronWorkflow": ("argoproj.io/v1alpha1", "cronworkflows", True),
    "Sensor": ("argoproj.io/v1alpha1", "sensors", True),
    "EventBus": ("argoproj.io/v1alpha1", "eventbus", True),
    "EventSource": ("argoproj.io/v1alpha1", "eventsources", True),
    "JobSet": ("jobset.x-k8s.io/v1alpha2", "jobsets", True),
    "HTTPRoute": ("gateway.networking.k8s.io/v1", "httproutes", True),
    "GRPCRoute": ("gateway.networking.k8s.io/v1", "grpcroutes", True),
    "ServiceMonitor": ("monitoring.coreos.com/v1", "servicemonitors", True),
    "PodMonitor": ("monitoring.coreos.com/v1", "podmonitors", True),
    "PrometheusRule": ("monitoring.coreos.com/v1", "prometheusrules", True),
}
_PLACE = re.compile(
    r"/(?:api|apis)/(?P<version>v1|[a-z0-9.-]+/v[a-z0-9]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?P<log>/log)?"
)


class Refused(Exception):
    """A `Status` instead of an object."""

    def __init__(self, code: int, reason: str, message: str, causes: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        details = {"causes": [{"field": field, "message": text} for field, text in causes]}
        self.code = code
        self.status: object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details,
            "code": code,
        }


class ApiServer:
    """The state of a cluster, what it is told to refuse, and what it was asked."""

    def __init__(self) -> None:
        self.minor = "36"
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.owners: dict[tuple[str, str, str], dict[str, dict[tuple[str, ...], Any]]] = {}
        self.unserved: set[str] = set()
        self.denied: set[tuple[str, str]] = set()
        self.refusals: dict[str, Refused] = {}
        self.logs: dict[str, str] = {}
        self.warnings: dict[str, tuple[str, ...]] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.applied: list[str] = []
        self.tokens: set[str] = set()
        self.live: Callable[[ApiServer, Object], None] = lambda server, entry: None
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.lock = threading.RLock()
        self._count = 0

    # -- the state -----------------------------------------------------------------------------------------------

    def put(self, kind: str, name: str, namespace: str = "", **content: Any) -> Object:
        """An object that was there before, or that a controller makes."""
        version = KINDS[kind][0]
        metadata = {"name": name, "uid": f"uid-{kind}-{name}", **content.pop("metadata", {})}
        entry = {"apiVersion": version, "kind": kind, "metadata": metadata, **content}
        if namespace:
            entry["metadata"]["namespace"] = namespace
        self.objects[kind, namespace, name] = entry
        return entry

    def names(self) -> set[str]:
        return {f"{kind}/{name}" for kind, _, name in self.objects}

    def apply(self, kind: str, namespace: str, document: Object, query: dict[str, str]) -> Object:
        name = document["metadata"]["name"]
        title, key = f"{kind}/{name}", (kind, namespace, name)
        self._admit(kind, namespace, document)
        dry, force = query.get("dryRun") == "All", query["force"] == "true"
        before = self.objects.get(key)
        fields = dict(_leaves({name: value for name, value in document.items() if name != "status"}))
        owners = copy.deepcopy(self.owners.get(key, {}))
        self._conflicts(title, owners, query["fieldManager"], fields, force)
        after = copy.deepcopy(before) if before else {}
        for path in owners.get(query["fieldManager"], {}).keys() - fields.keys():
            if not any(path in owned for manager, owned in owners.items() if manager != query["fieldManager"]):
                _drop(after, path)
        for path, value in fields.items():
            _set(after, path, value)
        owners[query["fieldManager"]] = fields
        _defaults(after, before, owners, title)
        if namespace:
            after["metadata"]["namespace"] = namespace
        if kind == "Job" and before and before["spec"]["template"] != after["spec"]["template"]:
            text = f'Job.batch "{name}" is invalid: spec.template: Invalid value: {{…}}: field is immutable'
            raise Refused(422, "Invalid", text, (("spec.template", "field is immutable"),))
        if dry:
            return after
        if _spec(before) != _spec(after):
            after["metadata"]["generation"] = after["metadata"].get("generation", 0) + 1
        self.objects[key], self.owners[key] = after, owners
        self.applied.append(title)
        return after

    def _admit(self, kind: str, namespace: str, document: Object) -> None:
        name = document["metadata"]["name"]
        if f"{kind}/{name}" in self.refusals:
            raise self.refusals[f"{kind}/{name}"]
        if namespace and ("Namespace", "", namespace) not in self.objects:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        if "unknownField" in json.dumps(document):
            version = document["apiVersion"]
            text = f'{kind} in version "{version}" cannot be handled as a {kind}: strict decoding error: unknown field'
            text += ' "spec.unknownField"'
            raise Refused(400, "BadRequest", text)

    def _conflicts(
        self, title: str, owners: Any, manager: str, fields: dict[tuple[str, ...], Any], force: bool
    ) -> None:
        causes = []
        for other, owned in owners.items():
            if other == manager:
                continue
            differing = [path for path in owned if path in fields and owned[path] != fields[path]]
            causes += [("." + ".".join(path), f'conflict with "{other}" using {title}') for path in differing]
            for path in differing:
                del owned[path]
        if causes and not force:
            text = f"Apply failed with {len(causes)} conflict: {causes[0][1]}: {causes[0][0]}"
            raise Refused(409, "Conflict", text, tuple(causes))

    # -- requests ------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: dict[str, str], body: Any, accepted: str) -> Any:
        if path == "/version":
            return {"major": "1", "minor": self.minor}
        if path.endswith("/selfsubjectaccessreviews"):
            return self._review(body["spec"]["resourceAttributes"])
        if re.fullmatch(r"/api/v1|/apis/[^/]+/[^/]+", path):
            return self._discovery(path.removeprefix("/apis/").removeprefix("/api/"))
        place = _PLACE.fullmatch(path)
        assert place, path
        kind = next(kind for kind, entry in KINDS.items() if entry[:2] == (place["version"], place["plural"]))
        namespace, name = place["namespace"] or "", place["name"] or ""
        verb = {"GET": "get" if name else "list", "PATCH": "patch", "POST": "create", "DELETE": "delete"}[method]
        if (verb, place["plural"]) in self.denied:
            plural = place["plural"]
            text = f'{plural} "{name}" is forbidden: User "dev" cannot {verb} resource "{plural}" in API group ""'
            raise Refused(403, "Forbidden", text)
        if place["log"] and "*/*" not in accepted:
            raise Refused(406, "NotAcceptable", "only the following media types are accepted: text/plain")
        if place["log"]:
            return self.logs.get(name, "").encode()
        return getattr(self, f"_{verb}")(kind, namespace, name, query, body)

    def _get(self, kind: str, namespace: str, name: str, query: dict[str, str], body: Any) -> Object:
        entry = self.objects.get((kind, namespace, name))
        if entry is None:
            raise Refused(404, "NotFound", f'{KINDS[kind][1]} "{name}" not found')
        self.live(self, entry)
        return entry

    def _list(self, kind: str, namespace: str, name: str, query: dict[str, str], body: Any) -> Object:
        found = [entry for (one, place, _), entry in self.objects.items() if one == kind and place == namespace]
        for pair in filter(None, query.get("labelSelector", "").split(",")):
            key, _, value = pair.partition("=")
            found = [entry for entry in found if entry["metadata"].get("labels", {}).get(key) == value]
        if uid := query.get("fieldSelector", "").partition("involvedObject.uid=")[2]:
            found = [entry for entry in found if entry["involvedObject"]["uid"] == uid]
        start, limit = int(query.get("continue") or 0), 3
        page = found[start : start + limit]
        more = {"continue": str(start + limit)} if len(found) > start + limit else {}
        return {"kind": f"{kind}List", "apiVersion": KINDS[kind][0], "metadata": more, "items": page}

    def _patch(self, kind: str, namespace: str, name: str, query: dict[str, str], body: Any) -> Object:
        assert query["fieldValidation"] == "Strict"
        return self.apply(kind, namespace, body, query)

    def _create(self, kind: str, namespace: str, name: str, query: dict[str, str], body: Any) -> Object:
        self._count += 1
        made = f"{body['metadata']['generateName']}{self._count:05d}"
        spec = {"spec": body["spec"], "metadata": {"labels": body["metadata"].get("labels", {})}}
        return self.put(kind, made, namespace, **spec)

    def _delete(self, kind: str, namespace: str, name: str, query: dict[str, str], body: Any) -> Object:
        if self.objects.pop((kind, namespace, name), None) is None:
            raise Refused(404, "NotFound", f'{KINDS[kind][1]} "{name}" not found')
        self.owners.pop((kind, namespace, name), None)
        return {"kind": "Status", "status": "Success"}

    def _review(self, asked: dict[str, str]) -> Object:
        resource = "/".join(filter(None, [asked["resource"], asked.get("subresource", "")]))
        return {"status": {"allowed": (asked["verb"], resource) not in self.denied}}

    def _discovery(self, version: str) -> Object:
        found = [
            {"kind": kind, "name": plural, "namespaced": namespaced}
            for kind, (own, plural, namespaced) in KINDS.items()
            if own == version and kind not in self.unserved
        ]
        if not found:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        return {"kind": "APIResourceList", "groupVersion": version, "resources": found}


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif path[:2] not in (("metadata", "name"), ("metadata", "namespace")) and path[:1] not in (
        ("kind",),
        ("apiVersion",),
    ):
        yield path, value


def _set(document: Object, path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        inner = document.setdefault(key, {})
        if not isinstance(inner, dict):
            inner = document[key] = {}
        document = inner
    document[path[-1]] = copy.deepcopy(value)


def _drop(document: Object, path: tuple[str, ...]) -> None:
    for key in path[:-1]:
        document = document.get(key, {})
        if not isinstance(document, dict):
            return
    document.pop(path[-1], None)


def _spec(document: Object | None) -> Any:
    return document and {key: value for key, value in document.items() if key not in ("metadata", "status")}


def _defaults(after: Object, before: Object | None, owners: Any, title: str) -> None:
    kind, _, name = title.partition("/")
    after.setdefault("apiVersion", KINDS[kind][0])
    after.setdefault("kind", kind)
    after["metadata"].setdefault("name", name)
    after["metadata"].setdefault("uid", f"uid-{kind}-{name}")
    after["metadata"].setdefault("generation", 1 if before else 0)
    after["metadata"]["managedFields"] = [{"manager": manager, "operation": "Apply"} for manager in owners]
    if kind in ("Deployment", "StatefulSet"):
        after["spec"].setdefault("replicas", 1)


@contextmanager
def serving(state: ApiServer) -> Iterator[str]:
    """Answer on a free port of the loopback interface; yields the address."""

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            with state.lock:
                state.asked.append((self.command, parts.path, query))
                state.tokens.add(self.headers.get("Authorization", ""))
                try:
                    state.before(self.command, parts.path)
                    code, content = 200, state.answer(self.command, parts.path, query, body, self.headers["Accept"])
                except Refused as refused:
                    code, content = refused.code, refused.status
                except ConnectionAbortedError:
                    self.close_connection = True
                    return
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            for text in state.warnings.get(parts.path, ()):
                self.send_header("Warning", f'299 - "{text}"')
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = _handle

        def log_message(self, *args: Any) -> None:
            """Nothing on the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def kubeconfig(path: Path, address: str, context: str = "test") -> None:
    """A kubeconfig with one context and a token."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": "c", "cluster": {"server": address}}],
        "users": [{"name": "u", "user": {"token": "sesame-open"}}],
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(yaml.safe_dump(content))
