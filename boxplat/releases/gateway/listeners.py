"""Listeners: what is the same for every request, whichever endpoint it asks. They hardly ever change."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from boxplat.releases.gateway.model import Settings, Tracing
from boxplat.releases.gateway.routes import LIMIT, LUA, seconds

Json = dict[str, Any]
_TYPE = "type.googleapis.com/envoy.extensions"
_HEAD_SECONDS = 20.0
_MOST_HEAD_KIB = 64
_MOST_HEADERS = 200
_BUFFER_BYTES = 2**20


def listener(name: str, port: int, file: str, settings: Settings, inline: Json | None = None) -> Json:
    """A listener on loopback for one endpoint.

    Args:
        file: its route table is read from there, unless one is given `inline`.
    """
    manager = _manager(name, file, settings, inline)
    if settings.access_log:
        manager["access_log"] = [_access_log(name, settings.access_log)]
    if settings.tracing is not None:
        manager["tracing"] = _tracing(name, settings.tracing)
    return _listening(name, port, manager)


def own_listener(settings: Settings, file: str = "", inline: Json | None = None) -> Json:
    """The gateway's own listener."""
    return _listening("gateway", settings.port, _manager("gateway", file, settings, inline))


def _listening(name: str, port: int, manager: Json) -> Json:
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        # With it a second gateway of the same user would silently share the port.
        "enable_reuse_port": False,
        "per_connection_buffer_limit_bytes": _BUFFER_BYTES,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _manager(name: str, file: str, settings: Settings, inline: Json | None) -> Json:
    """What reads requests and writes answers: as they are given, but for what a proxy must change."""
    found: Json = {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "http_filters": _filters(),
        "http_protocol_options": {"header_key_format": as_given(), "accept_http_10": True},
        "common_http_protocol_options": {"idle_timeout": "300s", "max_headers_count": _MOST_HEADERS},
        "max_request_headers_kb": _MOST_HEAD_KIB,
        "request_headers_timeout": seconds(_HEAD_SECONDS),
        "server_header_transformation": "PASS_THROUGH",
        "skip_xff_append": True,
        "proxy_100_continue": True,
        # The number that the client gave, else one of ours: the prediction log has it too.
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {
            "typed_config": {
                "@type": f"{_TYPE}.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,
                "use_request_id_for_trace_sampling": False,
            }
        },
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "local_reply_config": _own_answers(),
    }
    if inline is not None:
        return found | {"route_config": inline}
    source = {"path_config_source": {"path": f"./{file}"}, "resource_api_version": "V3"}
    return found | {"rds": {"route_config_name": name, "config_source": source}}


def _filters() -> list[Json]:
    lua = {"@type": f"{_TYPE}.filters.http.lua.v3.Lua", "default_source_code": {"inline_string": _script()}}
    limit = {"@type": f"{_TYPE}.filters.http.local_ratelimit.v3.LocalRateLimit", "stat_prefix": "limit"}
    router = {"@type": f"{_TYPE}.filters.http.router.v3.Router", "suppress_envoy_headers": True}
    return [
        # A route that wants them switches them on; others do not pay for them.
        {"name": LUA, "typed_config": lua, "disabled": True},
        {"name": LIMIT, "typed_config": limit, "disabled": True},
        {"name": "envoy.filters.http.router", "typed_config": router},
    ]


@cache
def _script() -> str:
    return resources.files("boxplat.releases.gateway").joinpath("keys.lua").read_text(encoding="utf-8")


def as_given() -> Json:
    """How names of headers are written: as they came."""
    kind = f"{_TYPE}.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"
    return {"stateful_formatter": {"name": "preserve_case", "typed_config": {"@type": kind}}}


def _own_answers() -> Json:
    """The gateway's own refusals look like the server's: `{"error": …}`."""
    words = {"error": "%LOCAL_REPLY_BODY%", "status": "%RESPONSE_CODE%", "by": "gateway"}
    return {"body_format": {"json_format": words}}


def _access_log(endpoint: str, path: str) -> Json:
    """One line of JSON for each request: no headers, no query, no body."""
    line = {
        "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%",
        "endpoint": endpoint,
        "release": "%UPSTREAM_CLUSTER_RAW%",
        "method": "%REQUEST_HEADER(:METHOD)%",
        "path": "%PATH(NQ)%",
        "protocol": "%PROTOCOL%",
        "status": "%RESPONSE_CODE%",
        "grpc_status": "%GRPC_STATUS_NUMBER%",
        "milliseconds": "%DURATION%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "process": "%UPSTREAM_HOST%",
        "flags": "%RESPONSE_FLAGS%",
        "why": "%RESPONSE_CODE_DETAILS%",
        "request_id": "%REQUEST_HEADER(X-REQUEST-ID)%",
        "key": "%DYNAMIC_METADATA(boxplat:key)%",
    }
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{_TYPE}.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {"json_format": line},
        },
    }


def _tracing(name: str, tracing: Tracing) -> Json:
    """Spans over OTLP; a caller that says whether it is traced is followed."""
    metadata = [{"key": key, "value": value} for key, value in sorted(tracing.headers.items())]
    config: Json = {
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        "service_name": tracing.service_name,
    }
    if tracing.path is None:
        config["grpc_service"] = {"envoy_grpc": {"cluster_name": "collector"}, "initial_metadata": metadata}
    else:
        uri = f"http{'s' if tracing.tls_ca else ''}://{tracing.host}:{tracing.port}{tracing.path}"
        headers = [{"header": one} for one in metadata]
        config["http_service"] = {
            "http_uri": {"uri": uri, "cluster": "collector", "timeout": "2s"},
            "request_headers_to_add": headers,
        }
    return {
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": config},
        "random_sampling": {"value": tracing.percent},
        "spawn_upstream_span": True,
        "custom_tags": [{"tag": "boxplat.endpoint", "literal": {"value": name}}],
    }
