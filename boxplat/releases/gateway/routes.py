"""Route tables: splits, copies, retries, limits and keys. They change while connections stay."""

from __future__ import annotations

import math
from typing import Any

from boxplat.releases.gateway.model import Key, Route, Settings
from boxplat.serving.log.marks import SHADOW, WARMUP

Json = dict[str, Any]
_SHADOW = SHADOW.decode()
LUA, LIMIT = "envoy.filters.http.lua", "envoy.filters.http.local_ratelimit"
_TYPE = "type.googleapis.com/envoy.extensions.filters.http"
# RFC 9110, section 9.2.2.
_IDEMPOTENT = "^(GET|HEAD|OPTIONS|TRACE|PUT|DELETE)$"
# Never reached the process: no method minds that these are tried again.
_UNSENT = "connect-failure,refused-stream,reset-before-request"
_BROKEN = f"{_UNSENT},reset"
_ELSEWHERE = {"@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}
_MOST = 2**63 - 1
_TEN_YEARS = 315_576_000.0
# What no machine reaches is no limit.
_MOST_PER_SECOND = 1e9
# What only looks at whether a process lives, for those who have no key.
_HEALTH = r"/(livez|readyz|healthz|v2/health/(live|ready))"
# What changes or reveals the state of the server rather than asking its models.
_OPERATIONS = r"/(metrics|v2/repository/.*)"


def cluster(route: Route, release: int, grpc: bool = False) -> str:
    """The name under which a release is counted: `delay@7`."""
    return f"{route.endpoint}@{release}" + ("-grpc" if grpc else "")


def table(name: str, route: Route, settings: Settings, grpc: bool) -> Json:
    """The route table of one listener of an endpoint."""
    host: Json = {"name": route.endpoint, "domains": ["*"], "routes": _routes(route, settings, grpc)}
    host["typed_per_filter_config"] = _keys(settings.keys, "invoke")
    if 0 < route.requests_per_second < _MOST_PER_SECOND:
        host["typed_per_filter_config"][LIMIT] = _limit(route)
    # The first is Envoy's own idea; what a request is to the prediction log is not for those outside to say.
    host["request_headers_to_remove"] = ["x-forwarded-proto", _SHADOW, WARMUP.decode()]
    return {"name": name, "virtual_hosts": [host], "validate_clusters": False}


def own_table(name: str, settings: Settings) -> Json:
    """The gateway's own routes: readiness, and statistics for those who may operate."""
    ready: Json = {
        "match": {"path": "/ready"},
        "route": {"cluster": "admin"},
        "typed_per_filter_config": _anybody() if settings.keys else {},
    }
    statistics: Json = {
        "match": {"path": "/metrics"},
        "route": {"cluster": "admin", "prefix_rewrite": "/stats/prometheus?usedonly"},
    }
    nothing: Json = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 404, "body": {"inline_string": "not here"}},
    }
    return {
        "name": name,
        "virtual_hosts": [
            {
                "name": "gateway",
                "domains": ["*"],
                "routes": [ready, statistics, nothing],
                "typed_per_filter_config": _keys(settings.keys, "operate"),
            }
        ],
    }


def _routes(route: Route, settings: Settings, grpc: bool) -> list[Json]:
    found: list[Json] = []
    if route.body_mib and not grpc:
        found.append(_too_large(route.body_mib * 2**20))
    if settings.keys and not grpc:
        for pattern, config in ((_HEALTH, _anybody()), (_OPERATIONS, _keys(settings.keys, "operate"))):
            match: Json = {"safe_regex": {"regex": pattern}}
            found.append({"match": match, "route": _action(route, grpc, _UNSENT), "typed_per_filter_config": config})
    if not route.repeatable:
        method = {"name": ":method", "string_match": {"safe_regex": {"regex": _IDEMPOTENT}}}
        found.append({"match": {"prefix": "/", "headers": [method]}, "route": _action(route, grpc, _BROKEN)})
    rest = _action(route, grpc, _BROKEN if route.repeatable else _UNSENT)
    return [*found, {"match": {"prefix": "/"}, "route": rest}]


def _too_large(limit: int) -> Json:
    """A refusal by the announced length: nothing of the body is read. What announces none is the server's to limit."""
    length = {"name": "content-length", "range_match": {"start": limit + 1, "end": _MOST}}
    words = f"the body is larger than {limit // 2**20} MiB"
    return {
        "match": {"prefix": "/", "headers": [length]},
        "direct_response": {"status": 413, "body": {"inline_string": words}},
    }


def _action(route: Route, grpc: bool, retry_on: str) -> Json:
    # No limit on the whole answer: it may be a stream. What stands still for too long is given up.
    action: Json = {"timeout": "0s", "idle_timeout": seconds(route.timeout)}
    pieces = [{"name": cluster(route, release, grpc), "weight": percent} for release, percent in route.parts]
    action["weighted_clusters"] = {"clusters": pieces}
    if route.sticky:
        action["hash_policy"] = [{"header": {"header_name": route.sticky}}]
        action["weighted_clusters"]["use_hash_policy"] = True
    if route.shadow is not None:
        action["request_mirror_policies"] = [_copy(cluster(route, route.shadow, grpc))]
    if route.retries:
        action["retry_policy"] = {
            "retry_on": retry_on,
            "num_retries": route.retries,
            "retry_host_predicate": [
                {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": _ELSEWHERE}
            ],
            "host_selection_retry_max_attempts": "10",
            "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        }
    return action


def _copy(name: str) -> Json:
    marked = {"append": {"header": {"key": _SHADOW, "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
    return {"cluster": name, "disable_shadow_host_suffix_append": True, "request_headers_mutations": [marked]}


def _anybody() -> Json:
    """No check on one route, where the others have one."""
    return {LUA: {"@type": f"{_TYPE}.lua.v3.LuaPerRoute", "disabled": True}}


def _limit(route: Route) -> Json:
    """A bucket that holds one second's requests and is refilled evenly."""
    burst = max(1, math.ceil(route.requests_per_second))
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    again = {"header": {"key": "retry-after", "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {
        "@type": f"{_TYPE}.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "limit",
        "token_bucket": {
            "max_tokens": burst,
            "tokens_per_fill": burst,
            "fill_interval": seconds(max(0.05, burst / route.requests_per_second)),
        },
        "filter_enabled": always,
        "filter_enforced": always,
        "response_headers_to_add": [again],
    }


def _keys(keys: tuple[Key, ...], need: str) -> Json:
    """The check of keys, where there are any."""
    if not keys:
        return {}
    known = {key.digest: f"{'operate' if key.operate else 'invoke'} {key.name}" for key in keys}
    context = {"need": need, **known}
    return {LUA: {"@type": f"{_TYPE}.lua.v3.LuaPerRoute", "filter_context": context}}


def seconds(value: float) -> str:
    """A duration as Envoy reads it, ten years at most."""
    return f"{min(value, _TEN_YEARS):.3f}s"
