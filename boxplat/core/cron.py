"""Cron expressions as Argo reads them (robfig/cron 3): five fields, names, ranges, steps, and a time zone.

A time is due when the clock on the wall of that zone shows it: a time that the clock skips in spring is not due on that
day, and one that it shows twice in autumn is due twice.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_YEARS = 5
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_WEEKDAYS = "sun mon tue wed thu fri sat".split()
_PART = re.compile(r"(\*|\?|\w+)(?:-(\w+))?(?:/(\d+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, tuple(_MONTHS)),
    _Field("day of the week", 0, 6, tuple(_WEEKDAYS)),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """When something is due; made by `parse`.

    `seconds` are those of the day, ascending. Weekdays count from 0, Sunday. Where both the days of the month and those
    of the week are restricted, a day needs to be only one of them (`either`).
    """

    text: str
    zone: str
    seconds: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def next(self, after: float) -> float | None:
        """The first due time later than `after`, in seconds since the epoch; None where none comes in five years."""
        first = datetime.fromtimestamp(after, _zone(self.zone)).date()
        for day in self._dates(first, _DAY):
            times = self._times(day)
            place = bisect_right(times, after)
            if place < len(times):
                return times[place]
        return None

    def last(self, until: float) -> float | None:
        """The last due time that is not later than `until`; None where there was none in five years."""
        first = datetime.fromtimestamp(until, _zone(self.zone)).date()
        for day in self._dates(first, -_DAY):
            times = self._times(day)
            place = bisect_right(times, until)
            if place:
                return times[place - 1]
        return None

    def latest(self, after: float, until: float, most: int) -> list[float]:
        """The newest `most` due times that are later than `after` and not later than `until`, ascending."""
        found: list[float] = []
        due = self.last(until)
        while due is not None and due > after and len(found) < most:
            found.append(due)
            due = self.last(due - 1)
        return found[::-1]

    def _dates(self, first: date, step: timedelta) -> Iterator[date]:
        day = first
        while abs(day.year - first.year) <= _YEARS:
            if day.month in self.months and self._falls_on(day):
                yield day
            day += step

    def _falls_on(self, day: date) -> bool:
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either else of_month and of_week

    def _times(self, day: date) -> list[float]:
        """The due times of a date, ascending."""
        zone = _zone(self.zone)
        begin = datetime(day.year, day.month, day.day, tzinfo=zone)
        end = begin + _DAY
        if begin.utcoffset() == end.replace(fold=1).utcoffset():
            midnight = begin.timestamp()
            return [midnight + second for second in self.seconds]
        found = set()
        for second in self.seconds:
            wall = begin + timedelta(seconds=second)
            for fold in (0, 1):
                at = wall.replace(fold=fold).timestamp()
                if datetime.fromtimestamp(at, zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
                    found.add(at)
        return sorted(found)


@lru_cache(maxsize=256)
def parse(text: str, zone: str = "UTC") -> Cron:
    """Read five fields: minute, hour, day of the month, month, day of the week.

    Raises:
        ValueError: in words for a person, what is wrong with the expression or the zone.
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"{len(fields)} fields instead of five: minute, hour, day of the month, month, day of the week"
        )
    _zone(zone)
    read = [_values(field, written) for field, written in zip(_FIELDS, fields, strict=True)]
    (minutes, _), (hours, _), (days, any_day), (months, _), (weekdays, any_weekday) = read
    seconds = tuple(3600 * hour + 60 * minute for hour in sorted(hours) for minute in sorted(minutes))
    cron = Cron(text, zone, seconds, days, months, weekdays, either=not (any_day or any_weekday))
    if cron.next(datetime.now(UTC).timestamp()) is None:
        raise ValueError("no such day comes in the next five years")
    return cron


def _values(field: _Field, written: str) -> tuple[frozenset[int], bool]:
    """The values of one field, and whether it leaves the day open: `*` does, and `*/2` does not."""
    values: set[int] = set()
    open_ = False
    for part in written.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"the {field.name} {part!r} is no number, name, range or step")
        begin, end, step = match[1], match[2], int(match[3] or 1)
        if step == 0:
            raise ValueError(f"the {field.name} {part!r} has a step of 0")
        star = begin in ("*", "?")
        if star and end:
            raise ValueError(f"the {field.name} {part!r} is no range")
        low = field.low if star else _number(field, begin)
        # `5/15` goes on to the end, as `5-59/15`.
        high = _number(field, end) if end else field.high if star or match[3] else low
        if low > high:
            raise ValueError(f"the {field.name} {part!r} ends before it begins")
        values.update(range(low, high + 1, step))
        open_ = open_ or (star and step == 1)
    return frozenset(values), open_


def _number(field: _Field, text: str) -> int:
    if text.lower() in field.names:
        return field.names.index(text.lower()) + field.low
    if not text.isdecimal():
        known = f" ({', '.join(field.names)})" if field.names else ""
        raise ValueError(f"the {field.name} {text!r} is no number{' or name' * bool(field.names)}{known}")
    if not field.low <= int(text) <= field.high:
        hint = "; Sunday is 0 or SUN" if field.names == tuple(_WEEKDAYS) and text == "7" else ""
        raise ValueError(f"the {field.name} {text} is not in {field.low} to {field.high}{hint}")
    return int(text)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{name!r} is no time zone of this machine (as Europe/Berlin)") from error
