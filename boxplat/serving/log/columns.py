"""From noted records to a frame's columns."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from boxplat.serving.log import frames, saying

# Values of one record in the journal's list.
FIELDS = 10


class Cut(bytes):
    """The beginning of a body of `size` bytes."""

    size: int

    @classmethod
    def of(cls, body: bytes, most: int) -> bytes:
        """The first `most` bytes of a body; one that is not longer as it is."""
        if len(body) <= most:
            return body
        made = cls(body[:most])
        made.size = body.size if isinstance(body, Cut) else len(body)
        return made


def frame(notes: Sequence[Any], most: int) -> list[bytes]:
    """A frame of records that lie one after the other, their bodies cut to `most` bytes."""
    ids, began, latency, apis, status, batch, bodies, answers, slips, _ = (notes[i::FIELDS] for i in range(FIELDS))
    number, given = _identified(ids)
    inputs, input_sizes, input_digests = _bodies(bodies, most)
    outputs, output_sizes, output_digests = _bodies(answers, most)
    said = [saying.text(slip) for slip in slips] if any(slips) else [None] * len(slips)
    columns = [frames.numbers(number, unsigned=True)]
    columns += [frames.numbers(values) for values in (began, latency, status, batch, input_sizes, output_sizes)]
    named = [api.encode() for api in apis]
    columns += [frames.texts(values) for values in (given, named, inputs, outputs, input_digests, output_digests, said)]
    return frames.encode(len(ids), columns)


def _identified(ids: Sequence[int | str]) -> tuple[Sequence[int], Sequence[bytes | None]]:
    if not any(isinstance(one, str) for one in ids):
        return ids, [None] * len(ids)  # type: ignore[return-value]
    numbers = [0 if isinstance(one, str) else one for one in ids]
    # A lone surrogate of a client's header must not spoil a thousand records.
    return numbers, [one.encode(errors="replace") if isinstance(one, str) else None for one in ids]


def _bodies(bodies: Sequence[bytes], most: int) -> tuple[Sequence[bytes], list[int], Sequence[bytes | None]]:
    """Bodies of at most `most` bytes, the sizes that they had, and the digests of those that were longer."""
    sizes = list(map(len, bodies))
    if max(sizes) < most:
        return bodies, sizes, [None] * len(sizes)
    digests: list[bytes | None] = [None] * len(sizes)
    kept = list(bodies)
    for i, body in enumerate(bodies):
        if isinstance(body, Cut):
            sizes[i], kept[i] = body.size, body[:most]
        elif sizes[i] > most:
            kept[i] = body[:most]
            digests[i] = hashlib.sha256(body).hexdigest().encode()
    return kept, sizes, digests
