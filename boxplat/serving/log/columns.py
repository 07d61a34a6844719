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
    said = frames.texts([saying.text(slip) for slip in slips]) if any(slips) else []
    columns = [number, *map(frames.numbers, (began, latency, status, batch)), input_sizes, output_sizes, given]
    columns += [frames.texts([api.encode() for api in apis]), inputs, outputs, input_digests, output_digests, said]
    return frames.encode(len(ids), columns)


def _identified(ids: Sequence[int | str]) -> tuple[frames.Column, frames.Column]:
    try:
        return frames.numbers(ids, unsigned=True), []  # type: ignore[arg-type]
    except TypeError:
        numbers = [0 if isinstance(one, str) else one for one in ids]
        # A lone surrogate of a client's header must not spoil a thousand records.
        given = [one.encode(errors="replace") if isinstance(one, str) else None for one in ids]
        return frames.numbers(numbers, unsigned=True), frames.texts(given)


def _bodies(bodies: Sequence[bytes], most: int) -> tuple[frames.Column, frames.Column, frames.Column]:
    """Bodies of at most `most` bytes, and where some were longer the sizes of all and the digests of those."""
    if max(map(len, bodies)) < most:
        return frames.texts(bodies), [], []
    sizes = list(map(len, bodies))
    digests: list[bytes | None] = [None] * len(sizes)
    kept = list(bodies)
    for i, body in enumerate(bodies):
        if isinstance(body, Cut):
            sizes[i], kept[i] = body.size, body[:most]
        elif sizes[i] > most:
            kept[i] = body[:most]
            digests[i] = hashlib.sha256(body).hexdigest().encode()
    return frames.texts(kept), frames.numbers(sizes), frames.texts(digests)
