"""Runs of bytes of unequal length in one array: gathering, comparing and hashing many at once.

`heap` is a uint8 array; `starts` (int64) and `lengths` (int64) say where each of N values lies in it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

Bytes = np.ndarray[tuple[int], np.dtype[np.uint8]]
Ints = np.ndarray[tuple[int], np.dtype[np.int64]]
Hashes = np.ndarray[tuple[int], np.dtype[np.uint64]]

_CHUNK = 4 << 20
_FEW = 1000
_WORD = 0x9E3779B97F4A7C15
_FINAL = 0xFF51AFD7ED558CCD
_MASK = (1 << 64) - 1
_TAIL = np.array([(1 << (8 * n)) - 1 for n in range(8)] + [_MASK], np.uint64)


def offsets_of(lengths: Ints) -> Ints:
    """int64 [N + 1]: where each value starts when they lie one after the other."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def gather(heap: Bytes, starts: Ints, lengths: Ints) -> Bytes:
    """The values one after the other, in the order given."""
    offsets = offsets_of(lengths)
    out = np.empty(int(offsets[-1]), np.uint8)
    for low, high in _chunks(offsets):
        base = offsets[low]
        places = np.repeat(starts[low:high] - (offsets[low:high] - base), lengths[low:high])
        places += np.arange(len(places))
        out[base : offsets[high]] = heap[places]
    return out


def scatter(out: Bytes, places: Ints, lengths: Ints, packed: Bytes) -> None:
    """Put values that lie one after the other in `packed` to `places` in `out`."""
    offsets = offsets_of(lengths)
    for low, high in _chunks(offsets):
        base = offsets[low]
        to = np.repeat(places[low:high] - (offsets[low:high] - base), lengths[low:high])
        to += np.arange(len(to))
        out[to] = packed[base : offsets[high]]


def _chunks(offsets: Ints) -> Iterator[tuple[int, int]]:
    """Row ranges of a few MiB each, so that the index of every byte does not take eight times the memory of all."""
    low, rows = 0, len(offsets) - 1
    while low < rows:
        high = int(np.searchsorted(offsets, offsets[low] + _CHUNK, "right")) - 1
        high = min(max(high, low + 1), rows)
        yield low, high
        low = high


def equal(
    heap: Bytes, starts: Ints, lengths: Ints, other: Bytes, other_starts: Ints, other_lengths: Ints
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which of N values in one heap equal those in another one, row by row."""
    same: np.ndarray[tuple[int], np.dtype[np.bool_]] = lengths == other_lengths
    live = np.flatnonzero(same & (lengths > 0))
    mine, others, at = _Words(heap), _Words(other), 0
    while len(live):
        left = lengths[live] - at
        differs = mine.load(starts[live] + at, left) != others.load(other_starts[live] + at, left)
        same[live[differs]] = False
        live = live[~differs & (left > 8)]
        at += 8
    return same


class _Words:
    """Eight bytes at any place of a heap, as one little-endian number."""

    def __init__(self, heap: Bytes) -> None:
        if len(heap) < 8:
            heap = np.concatenate((heap, np.zeros(8 - len(heap), np.uint8)))
        self._last = len(heap) - 8
        self._at: Hashes = np.ndarray((len(heap) - 7,), "<u8", heap, strides=(1,))

    def load(self, places: Ints, left: Ints) -> Hashes:
        """Up to eight bytes from each place, as many as are left, and zeros."""
        over = places - self._last
        if len(over) and over.max() > 0:
            over = np.maximum(over, 0)
            words = self._at[places - over] >> (over * 8).astype(np.uint64)
        else:
            words = self._at[places]
        found: Hashes = words & _TAIL[np.minimum(left, 8)]
        return found


def hashes(heap: Bytes, starts: Ints, lengths: Ints) -> Hashes:
    """A 64-bit multiply-and-fold hash of each value, word by word; `hash_one` gives the same for one."""
    words = _Words(heap)
    state = lengths.astype(np.uint64) * np.uint64(_FINAL)
    longest, shortest = (int(lengths.max()), int(lengths.min())) if len(lengths) else (0, 0)
    for at in range(0, longest, 8):
        live: Ints | slice = slice(None) if shortest > at else np.flatnonzero(lengths > at)
        word = words.load(starts[live] + at, lengths[live] - at)
        state[live] = _fold((state[live] ^ word) * np.uint64(_WORD))
    return _fold(_fold(state) * np.uint64(_FINAL))


def _fold(state: Hashes) -> Hashes:
    return state ^ (state >> np.uint64(32))


def hash_one(raw: bytes) -> int:
    """The hash of one value."""
    state = len(raw) * _FINAL & _MASK
    for at in range(0, len(raw), 8):
        state = (state ^ int.from_bytes(raw[at : at + 8], "little")) * _WORD & _MASK
        state ^= state >> 32
    state = (state ^ state >> 32) * _FINAL & _MASK
    return state ^ state >> 32


def mix(numbers: Ints) -> Hashes:
    """uint64 [N]: every number as another one, spread over all 64 bits; `mix_one` gives the same for one."""
    state = _fold(numbers.view(np.uint64)) * np.uint64(_WORD)
    return _fold(_fold(state) * np.uint64(_FINAL))


def mix_one(number: int) -> int:
    """The number that stands for an int64."""
    number &= _MASK
    state = (number ^ number >> 32) * _WORD & _MASK
    state = (state ^ state >> 32) * _FINAL & _MASK
    return state ^ state >> 32


def order_of(sort: Hashes) -> Ints:
    """The stable order of N 64-bit numbers that are spread over all 64 bits.

    NumPy sorts values several times faster than it finds their order: the lowest bits make room for the position. Where
    that made numbers equal, the few that are out of order are put right.
    """
    if bool((sort[1:] >= sort[:-1]).all()):
        return np.arange(len(sort))
    mask = np.uint64((1 << len(sort).bit_length()) - 1)
    packed = (sort & ~mask) | np.arange(len(sort), dtype=np.uint64)
    packed.sort()
    order = (packed & mask).view(np.int64)
    ordered = sort[order]
    wrong = np.flatnonzero(ordered[1:] < ordered[:-1])
    if len(wrong) > _FEW:
        return np.argsort(sort, kind="stable")
    for group in np.unique(packed[wrong] & ~mask):
        low, high = np.searchsorted(packed, [group, group | mask], "left")
        high += int(high < len(packed) and packed[high] == group | mask)
        part = order[low:high]
        order[low:high] = part[np.argsort(sort[part], kind="stable")]
    return order


def from_arrow(array: pa.Array) -> tuple[Ints, Ints, Bytes]:
    """Starts, lengths and heap of a large_binary or large_string array, its data not copied; nulls have length 0."""
    _, offset_buffer, data = array.buffers()
    if offset_buffer is None or not len(array):
        return np.zeros(len(array), np.int64), np.zeros(len(array), np.int64), np.empty(0, np.uint8)
    offsets = np.frombuffer(offset_buffer, np.int64, len(array) + 1, array.offset * 8)
    raw = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    lengths = np.diff(offsets)
    if array.null_count:
        lengths[np.asarray(array.is_null())] = 0
    return offsets[:-1] - offsets[0], lengths, raw[offsets[0] : offsets[-1]]
