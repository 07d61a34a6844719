"""Where spans go: the variables of the OpenTelemetry specification (Environment Variable Specification)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from boxplat.releases.gateway.model import Tracing

_EXPORTER = "OTEL_EXPORTER_OTLP"
_AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_PORTS = {"grpc": 4317, "http/protobuf": 4318, "http/json": 4318}


def tracing(environ: Mapping[str, str]) -> Tracing | None:
    """What the variables ask for; None where no collector is named, or tracing is switched off.

    Raises:
        ValueError: an endpoint that is no URL, or another protocol.
    """
    own = environ.get(f"{_EXPORTER}_TRACES_ENDPOINT", "").strip()
    base = own or environ.get(f"{_EXPORTER}_ENDPOINT", "").strip()
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    sampler = environ.get("OTEL_TRACES_SAMPLER", "parentbased_always_on")
    if not base or off or sampler.endswith("always_off"):
        return None
    protocol = _either(environ, "PROTOCOL") or "http/protobuf"
    url = urlsplit(base)
    if protocol not in _PORTS or url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"spans cannot be sent to {url.scheme}://{url.hostname or ''} by {protocol}")
    path = None
    if protocol != "grpc":
        path = url.path or "/" if own else f"{url.path.rstrip('/')}/v1/traces"
    return Tracing(
        host=url.hostname,
        port=url.port or _PORTS[protocol],
        service_name=environ.get("OTEL_SERVICE_NAME") or "boxplat-gateway",
        path=path,
        tls_ca=_authorities(environ) if url.scheme == "https" else None,
        percent=_percent(sampler, environ.get("OTEL_TRACES_SAMPLER_ARG", "")),
        headers=_headers(_either(environ, "HEADERS")),
    )


def _either(environ: Mapping[str, str], name: str) -> str:
    return environ.get(f"{_EXPORTER}_TRACES_{name}", "") or environ.get(f"{_EXPORTER}_{name}", "")


def _percent(sampler: str, argument: str) -> float:
    if not sampler.endswith("traceidratio"):
        return 100.0
    return min(max(float(argument or 1.0), 0.0), 1.0) * 100


def _headers(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {key.strip(): unquote(value.strip()) for key, _, value in pairs if key.strip()}


def _authorities(environ: Mapping[str, str]) -> str:
    named = _either(environ, "CERTIFICATE")
    found = named or next((path for path in _AUTHORITIES if Path(path).exists()), "")
    if not found:
        raise ValueError("no file of certificate authorities: set OTEL_EXPORTER_OTLP_CERTIFICATE")
    return found
