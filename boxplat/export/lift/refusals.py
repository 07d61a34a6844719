"""What an API server refuses, as errors that say what to change."""

from __future__ import annotations

import re

from boxplat.adapters.cluster import Refusal
from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.lift.bundle import Ref

# By the server's own words: NAME, PLACE and KIND stand for the object's.
_BY_WORDS = (
    (r"exceeded quota", "kubectl PLACE describe quota   (raise the overlay's quota, or ask for less)"),
    (r"violates PodSecurity", "box export --check DIR   (names the field that PodSecurity `restricted` refuses)"),
    (r"failed calling webhook|denied the request", "kubectl get validatingwebhookconfigurations"),
    (r"being terminated", "kubectl get PLACE all   (when the namespace is gone: box lift --resume)"),
    (r"no PriorityClass", "kubectl get priorityclasses   (box lift applies them first: box lift)"),
    (
        r"immutable|may not be changed|[Ff]orbidden: updates to",
        "kubectl PLACE delete KIND NAME   (then the same command again)",
    ),
    (r"strict decoding|unknown field|field not declared", "box export --check DIR   (this version lacks the field)"),
)
_BY_CODE = {
    401: "kubectl auth whoami   (log in to the cluster again)",
    403: "kubectl PLACE auth can-i patch KIND   (ask the cluster's owner for the right)",
    404: "box lift --plan   (names the kinds that the cluster does not serve)",
    409: "box lift --take-over   (it takes the named fields over from their owner)",
}


def refused(ref: Ref, refusal: Refusal, doing: str = "apply") -> BoxError:
    """The error for an object that the cluster does not take."""
    return BoxError(
        f"the cluster refuses to {doing} {ref}",
        why=_why(refusal),
        fix=remedy(ref, refusal.code, refusal.message),
        code=ExitCode.PRECONDITION if refusal.code in (401, 403) else ExitCode.CHECK_FAILED,
    )


def _why(refusal: Refusal) -> str:
    causes = [f"{field}: {message}" if field else message for field, message in refusal.causes[:6]]
    return "\n".join([f"{refusal.message} ({refusal.code} {refusal.reason})".replace(" )", ")"), *causes])


def remedy(ref: Ref, code: int, message: str) -> str:
    """What to do about a refusal, read from the server's own words."""
    found = next((fix for pattern, fix in _BY_WORDS if re.search(pattern, message)), None)
    fix = found or _BY_CODE.get(code, "box export --check DIR")
    place = f"-n {ref.namespace} " if ref.namespace else ""
    return fix.replace("PLACE ", place).replace("KIND", ref.kind.lower()).replace("NAME", ref.name)
