"""A thing between what came of it (above) and what it was made of (below), as a tree that folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from boxplat.core.patterns import matcher
from boxplat_tui.glyphs import Cell
from boxplat_tui.lineage import Thing, count, halves, label, passing
from boxplat_tui.lines import clean

_MOST_UNFOLDED = 150
_AFTER = Thing("", "what came of it", "group")
_BEFORE = Thing("", "what it was made of", "group")
_NOTHING = Thing("", "nothing yet", "group")


class ThingTree(Tree[Thing]):
    """The cursor begins at the centre. What a person folds stays folded while the same centre is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Centre on it", key_display="enter"),
        Binding("j", "cursor_down", "Next", show=False),
        Binding("k", "cursor_up", "Previous", show=False),
        Binding("g", "scroll_home", "First", show=False),
        Binding("G", "scroll_end", "Last", show=False),
        Binding("space", "toggle_node", "Fold, unfold", show=False, key_display="space"),
    ]

    def __init__(self) -> None:
        super().__init__("", id="tree")
        self.show_root = False
        self.auto_expand = False
        self.guide_depth = 3
        self.tones: dict[str, str] = {}
        self._shown: Thing | None = None
        self._pattern = ""

    @property
    def selected(self) -> Thing | None:
        """The thing under the cursor."""
        return self.cursor_node.data if self.cursor_node else None

    @property
    def texts(self) -> list[str]:
        """What is drawn, line by line, without the branches."""
        return [str(self.get_node_at_line(line).label) for line in range(self.last_line + 1)]  # type: ignore[union-attr]

    def show(self, centre: Thing | None) -> None:
        """Draw the things around `centre`, where it differs from what is drawn."""
        if centre != self._shown:
            self._shown = centre
            self._draw()

    def filter(self, pattern: str) -> None:
        """Show only what passes, and the way to it."""
        if pattern != self._pattern:
            self._pattern = pattern
            self._draw()

    def retone(self, tones: dict[str, str]) -> None:
        """Draw in the colours of a new theme."""
        self.tones = tones
        self._draw()

    def render_label(self, node: TreeNode[Thing], base_style: Style, style: Style) -> Text:
        """One line, cut where the tree ends."""
        depth = 0
        above = node.parent
        while above is not None:
            depth, above = depth + 1, above.parent
        shown = super().render_label(node, base_style, style)
        shown.truncate(max(self.size.width - self.guide_depth * (depth - 1) - 1, 12), overflow="ellipsis")
        return shown

    def action_scroll_home(self) -> None:
        self.cursor_line = 0
        self.scroll_home(animate=False)

    def action_scroll_end(self) -> None:
        self.cursor_line = self.last_line
        self.scroll_end(animate=False)

    def _draw(self) -> None:
        centre, kept = self._shown, self._place()
        self.clear()
        if centre is None:
            return
        after, before = (self._passing(half) for half in halves(centre))
        unfold = count(after) + count(before) <= _MOST_UNFOLDED
        if after or not self._pattern:
            self._group(_AFTER, after or [_NOTHING], unfold)
        middle = self.root.add_leaf(self._text([Cell("● ", "accent"), *label(centre)]), centre)
        if before:
            self._group(_BEFORE, before, unfold)
        self.root.expand()
        self.call_after_refresh(self._settle, kept, middle)

    def _passing(self, things: Sequence[Thing]) -> list[Thing]:
        if not self._pattern:
            return list(things)
        passes = matcher(self._pattern)
        return [kept for one in things if (kept := passing(one, passes))]

    def _place(self) -> tuple[Thing, int] | None:
        """What the cursor was on, and which line."""
        return (self.selected, self.cursor_line) if self.selected else None

    def _settle(self, kept: tuple[Thing, int] | None, middle: TreeNode[Thing]) -> None:
        """Back to where the cursor was if the same is there, else to the centre."""
        node = self.get_node_at_line(kept[1]) if kept else None
        same = node is not None and kept is not None and node.data == kept[0]
        self.move_cursor(node if same else middle)

    def _group(self, title: Thing, things: Sequence[Thing], unfold: bool) -> None:
        node = self.root.add(self._text([Cell(title.name, "muted")]), title, expand=True)
        for one in things:
            self._add(node, one, unfold)

    def _add(self, above: TreeNode[Thing], one: Thing, unfold: bool) -> None:
        if one.role == "group":
            above.add_leaf(self._text([Cell(one.name, "muted")]), one)
            return
        node = above.add(self._text(label(one)), one, expand=unfold, allow_expand=bool(one.below))
        for child in one.below:
            self._add(node, child, unfold)

    def _text(self, cells: Sequence[Cell]) -> Text:
        line = Text(no_wrap=True, overflow="ellipsis")
        for cell in cells:
            line.append(clean(cell.text, 400), self.tones.get(cell.tone, ""))
        return line
