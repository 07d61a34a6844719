"""A table that follows its data: it changes only the cells that differ, and keeps its cursor on the same row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Resize
from textual.message import Message
from textual.widgets import DataTable, Static

from boxplat.core.patterns import matcher
from boxplat_tui.format import plural
from boxplat_tui.glyphs import Cell
from boxplat_tui.lines import clean

MOST_ROWS = 200
_LONGEST_CELL = 400


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `width` cells (0: it takes what is left), drawn where the table has at least `from_width` cells."""

    label: str
    width: int = 0
    right: bool = False
    from_width: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One thing: `cells` as shown and `order` as sorted, in the order of the columns; `text` is what filters see."""

    key: str
    cells: tuple[Cell, ...]
    order: tuple[Any, ...]
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", " ".join([cell.text for cell in self.cells]))


class LiveTable(DataTable[Text]):
    """Rows by key, one of them under the cursor. At most 200 rows are drawn; a filter reaches the rest."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Open", key_display="enter"),
        Binding("j", "cursor_down", "Next row", show=False),
        Binding("k", "cursor_up", "Previous row", show=False),
        Binding("g", "scroll_top", "First row", show=False),
        Binding("G", "scroll_bottom", "Last row", show=False),
        Binding("s", "sort", "Sort by the next column", show=False),
        Binding("S", "reverse", "Reverse the order", show=False),
        Binding("space", "mark", "Mark", show=False),
    ]

    class Marked(Message):
        """The marks of a table changed."""

        def __init__(self, table: LiveTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> LiveTable:
            return self.table

    def __init__(self, columns: Sequence[Column], marks: bool = False) -> None:
        super().__init__(cursor_type="row", cell_padding=1, cursor_foreground_priority="renderable")
        self._markable = marks
        self._marks: set[str] = set()
        self.tones: dict[str, str] = {}
        self._specs = tuple(columns)
        self._visible: tuple[int, ...] = ()
        self._rows: tuple[Row, ...] = ()
        self._drawn: dict[str, Row] = {}
        self._passed = 0
        self._width = 0
        self._filter = ""
        self._sorted_by: int | None = None
        self._descending = False

    @property
    def selected(self) -> str | None:
        """The key of the row under the cursor."""
        keys = list(self._drawn)
        return keys[self.cursor_row] if 0 <= self.cursor_row < len(keys) else None

    @property
    def texts(self) -> list[tuple[str, ...]]:
        """What is drawn, row by row."""
        return [tuple(row.cells[index].text for index in self._visible) for row in self._drawn.values()]

    @property
    def total(self) -> int:
        """How many rows there are, drawn or not."""
        return len(self._rows)

    @property
    def passing(self) -> int:
        """How many rows pass the filter."""
        return self._passed

    def show(self, rows: Sequence[Row]) -> None:
        """Follow `rows`, in their order unless the person chose another."""
        self._rows = tuple(rows)
        self._draw()

    def filter(self, pattern: str) -> None:
        """Show only the rows that pass."""
        self._filter = pattern
        self._draw()

    def retone(self, tones: dict[str, str]) -> None:
        """Draw in the colours of a new theme."""
        self.tones = tones
        self._drawn = {}
        self._draw()

    def has(self, key: str) -> bool:
        """Whether a row is drawn."""
        return key in self._drawn

    def select(self, key: str) -> None:
        """Put the cursor on a row, if it is drawn."""
        if key in self._drawn:
            self.move_cursor(row=list(self._drawn).index(key), animate=False)

    def to_top(self) -> None:
        """Show the first rows again, whatever the cursor was on."""
        if self.cursor_row or self.scroll_y:
            self.move_cursor(row=0, animate=False)

    @property
    def marked(self) -> list[str]:
        """The keys of the rows that a person marked and that are still there, in the order of the rows."""
        return [row.key for row in self._rows if row.key in self._marks]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._markable if action == "mark" else super().check_action(action, parameters)

    def action_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away, and go to the next one."""
        if key := self.selected:
            self._marks ^= {key}
            self._draw()
            self.action_cursor_down()
            self.post_message(self.Marked(self))

    def unmark(self) -> bool:
        """Take all marks away. False: there were none."""
        there = bool(self._marks)
        self._marks.clear()
        if there:
            self._draw()
            self.post_message(self.Marked(self))
        return there

    def action_sort(self) -> None:
        visible = list(self._visible)
        here = visible.index(self._sorted_by) + 1 if self._sorted_by in visible else 0
        self._sorted_by = visible[here] if here < len(visible) else None
        self._descending = False
        self._fit()

    def action_reverse(self) -> None:
        self._descending = not self._descending
        self._fit()

    def on_resize(self, event: Resize) -> None:
        if self.scrollable_content_region.width != self._width:
            self._fit()

    def _fit(self) -> None:
        """Lay the columns out for the width there is."""
        width = self._width = self.scrollable_content_region.width
        if not width:
            return
        self._visible = tuple(i for i, spec in enumerate(self._specs) if width >= spec.from_width)
        specs = [self._specs[index] for index in self._visible]
        padding = 2 * self.cell_padding * len(specs)
        flexible = sum(not spec.width for spec in specs)
        left = (width - padding - sum(spec.width for spec in specs)) // max(flexible, 1)
        with self.app.batch_update():
            key = self.selected
            self.clear(columns=True)
            for index, spec in zip(self._visible, specs, strict=True):
                self.add_column(self._label(index), width=spec.width or max(left, 6), key=str(index))
            self._drawn = {}
            self._draw(key)

    def _label(self, index: int) -> Text:
        spec = self._specs[index]
        mark = ("▼" if self._descending else "▲") if index == self._sorted_by else ""
        return Text(spec.label + mark, style="dim", justify="right" if spec.right else "left", no_wrap=True)

    def _passing(self) -> list[Row]:
        if not self._filter:
            return list(self._rows)
        passes = matcher(self._filter)
        return [row for row in self._rows if passes(row.text)]

    def _wanted(self) -> list[Row]:
        rows = self._passing()
        self._passed = len(rows)
        by = self._sorted_by
        if by is not None:
            rows.sort(key=lambda row: (row.order[by] is None, row.order[by]), reverse=self._descending)
        elif self._descending:
            rows.reverse()
        return rows[:MOST_ROWS]

    def _draw(self, key: str | None = None) -> None:
        wanted = self._wanted()
        if not self._visible:
            return
        rows = {row.key: self._with_mark(row) for row in wanted}
        with self.app.batch_update():
            if list(rows) == list(self._drawn):
                self._update(rows)
            else:
                self._rebuild(rows, key or self.selected)
        self._drawn = rows

    def _with_mark(self, row: Row) -> Row:
        if row.key not in self._marks:
            return row
        first, *others = row.cells
        return replace(row, cells=(Cell(f"◆{first.text}", "accent"), *others))

    def _update(self, rows: dict[str, Row]) -> None:
        for key, row in rows.items():
            before = self._drawn[key].cells
            if row.cells is before or row.cells == before:
                continue
            for index in self._visible:
                if row.cells[index] != before[index]:
                    self.update_cell(key, str(index), self._text(index, row.cells[index]))

    def _rebuild(self, rows: dict[str, Row], key: str | None) -> None:
        top = self.scroll_y
        self.clear()
        for row in rows.values():
            self.add_row(*(self._text(index, row.cells[index]) for index in self._visible), key=row.key)
        if key in rows:
            self.move_cursor(row=list(rows).index(key), animate=False, scroll=False)
        if top:
            self.call_after_refresh(self.scroll_to, y=top, animate=False)

    def _text(self, index: int, cell: Cell) -> Text:
        return Text(
            clean(cell.text, _LONGEST_CELL),
            style=self.tones.get(cell.tone, ""),
            justify="right" if self._specs[index].right else "left",
            no_wrap=True,
            overflow="ellipsis",
        )


class Listing(Vertical):
    """A table, or where it is empty a text that says what to do about it; with `marks` its rows can be marked."""

    def __init__(self, columns: Sequence[Column], empty: str, name: str, marks: bool = False) -> None:
        super().__init__(id=name, classes="listing")
        self.table = LiveTable(columns, marks)
        self._empty = empty
        self._note = Static("", classes="note", markup=False)
        self._said = ""

    def compose(self) -> ComposeResult:
        yield self.table
        yield self._note

    def on_mount(self) -> None:
        self._note.display = False

    def show(self, rows: Sequence[Row], empty: str = "") -> None:
        """Follow `rows`; `empty` is what to say from now on where there are none."""
        self._empty = empty or self._empty
        self.table.show(rows)
        self._say()

    def filter(self, pattern: str) -> None:
        """Show only the rows that pass."""
        self.table.filter(pattern)
        self._say()

    def _say(self) -> None:
        count, passing = self.table.total, self.table.passing
        if not count:
            text = self._empty
        elif not passing:
            text = "Nothing passes the filter. Escape clears it."
        elif passing > MOST_ROWS:
            text = f"The first {MOST_ROWS} of {plural(passing, 'row')}: / filters them all."
        else:
            text = ""
        if text != self._said:
            self._said = text
            self._note.update(text)
            self._note.display = bool(text)
            self._note.set_class(passing > 0, "-below")
