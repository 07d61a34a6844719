"""Kubernetes quantities: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d{1,3})|([numkMGTPE]|[KMGTPE]i)?)", re.ASCII)
_DECIMAL = {suffix: Decimal(10) ** (3 * power) for power, suffix in enumerate("num", -3)} | {
    suffix: Decimal(10) ** (3 * power) for power, suffix in enumerate("kMGTPE", 1)
}
_BINARY = {f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)}
_UNITS = {**_DECIMAL, **_BINARY}


def amount(quantity: Any) -> Decimal | None:
    """A quantity as a number (bytes, cores, pieces), or None where Kubernetes would not take it."""
    if isinstance(quantity, bool) or not isinstance(quantity, int | float | str):
        return None
    match = _FORM.fullmatch(str(quantity))
    if match is None:
        return None
    number, exponent, suffix = match.groups()
    return Decimal(number + (exponent or "")) * _UNITS.get(suffix or "", Decimal(1))
