"""Log files."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.core.logs import follow, rotate, tail


@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])), max_size=30), st.integers(0, 40))
@settings(deadline=None)
def test_tail_equals_reading_it_all(tmp_path_factory, lines: list[str], count: int) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("tail") / "x.log"
    path.write_text("".join(f"{line}\n" for line in lines))
    assert tail(path, count) == (lines[-count:] if count else [])


def test_tail_of_a_long_file_reads_across_chunks(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("".join(f"line {n:06d} {'x' * 50}\n" for n in range(20_000)))
    assert tail(path, 3000)[0].split()[1] == "017000"


def test_follow_goes_on_after_a_rotation_and_takes_half_lines_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("old\n")
    script = iter([lambda: append(path, "ha"), lambda: append(path, "lf\n"), lambda: start_over(path, "new\n")])

    def wait() -> bool:
        step = next(script, None)
        if step:
            step()
        return step is not None

    assert list(follow(path, 4, wait)) == ["half", "new"]


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def start_over(path: Path, text: str) -> None:
    path.write_text(text)


def test_follow_loses_no_line_that_a_rotation_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("one\ntwo\nthr")

    def turn() -> None:
        append(path, "ee\nfour\n")
        assert rotate(path, max_bytes=5)
        append(path, "five\n")

    script = iter([lambda: None, turn])

    def wait() -> bool:
        step = next(script, None)
        if step:
            step()
        return step is not None

    assert list(follow(path, 4, wait)) == ["two", "three", "four", "five"]


def test_rotation_keeps_the_newest_and_the_writers_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    with path.open("a") as writer:
        for generation in range(6):
            writer.write(f"{generation}" * 100)
            writer.flush()
            assert rotate(path, max_bytes=50, keep=3)
        writer.write("now")
    assert path.read_text() == "now"
    assert [path.with_name(f"x.log.{n}").read_text()[0] for n in (1, 2, 3)] == ["5", "4", "3"]
    assert not path.with_name("x.log.4").exists()
