"""From a file of labels to the columns of the store."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.live import OutcomesConfig

if TYPE_CHECKING:
    import pyarrow as pa

# Between the values of a key; no text that people write holds it.
SEPARATOR = "\x1f"


def read(source: str, said: OutcomesConfig) -> pa.Table:
    """The rows of a Parquet, CSV or JSON-lines file, or of standard input (`-`).

    Raises:
        BoxError: no such file (exit code 9), or none of these formats (2).
    """
    import pyarrow as pa

    if source != "-" and not Path(source).is_file():
        folder = Path(source).parent
        raise not_found("file", source, [path.name for path in folder.glob("*")], f"ls {folder}")
    try:
        content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        return _table(content, ("id", *said.keys))
    except (pa.ArrowException, ValueError, OSError) as error:
        raise BoxError(
            f"cannot read {source} as Parquet, CSV or JSON lines",
            why=str(error).splitlines()[0],
            fix=f"look at its first lines: head -3 {source}",
            code=ExitCode.USAGE,
        ) from error


def _table(content: bytes, texts: tuple[str, ...]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet

    if content.startswith(b"PAR1"):
        return pyarrow.parquet.read_table(io.BytesIO(content))
    start = content.lstrip()[:1]
    if start == b"[":
        content = "\n".join(json.dumps(row) for row in json.loads(content)).encode()
    if start in (b"[", b"{"):
        return pyarrow.json.read_json(io.BytesIO(content))
    # An id of digits only must not become a number, nor the airline NA nothing.
    options = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(texts, pa.string()), null_values=[""], strings_can_be_null=True
    )
    return pyarrow.csv.read_csv(io.BytesIO(content), convert_options=options)


def columns(names: list[str], said: OutcomesConfig) -> dict[str, str]:
    """SQL over a table with these columns for those of the store, in their order.

    Raises:
        BoxError: a column that is needed is missing (exit code 2).
    """
    by_id = "id" in names
    _must_have(names, said, by_id)
    used = {said.label, *(("id", "row") if by_id else said.keys), said.time}
    rest = [name for name in names if name not in used]
    more = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in rest)
    label = quoted(said.label)
    # By way of text, so that a value of whatever type is at worst a word.
    truth = f"case when typeof({label}) = 'BOOLEAN' then ({label}::varchar = 'true')::integer::varchar"
    number = f"try_cast({truth} else {label}::varchar end as double)"
    about = f"try_cast({quoted(said.time)}::varchar as timestamptz)" if said.time and not by_id else "null::timestamptz"
    own = "null::varchar" if by_id else key([quoted(name) for name in said.keys])
    # A label that does not say when, where it should, is not about all times.
    own = f"case when {about} is not null then {own} end" if said.time and not by_id else own
    return {
        "id": "id::varchar" if by_id else "null::varchar",
        "row": "coalesce(try_cast(row::varchar as integer), 0)"
        if by_id and "row" in names
        else ("0" if by_id else "null::integer"),
        "names": "null::varchar" if by_id else _literal(SEPARATOR.join(said.keys)),
        "key": own,
        "about": about,
        "label": number,
        "said": f"case when {number} is null then {label}::varchar end",
        "more": f"to_json(struct_pack({more}))::varchar" if rest else "null::varchar",
    }


def _must_have(names: list[str], said: OutcomesConfig, by_id: bool) -> None:
    wanted = [said.label] if by_id else [said.label, *said.keys, *([said.time] if said.time else [])]
    missing = [name for name in wanted if name not in names]
    if missing or not (by_id or said.keys):
        why = f"the labels have no column {missing[0]!r}" if missing else "the labels have no column 'id'"
        raise BoxError(
            "these labels cannot be joined to predictions",
            why=f"{why}; they have: {', '.join(names)}",
            fix="name the columns in boxplat.toml: [outcomes.ENDPOINT] keys, label   (docs/comparison.md)",
            code=ExitCode.USAGE,
        )


def key(values: list[str]) -> str:
    """SQL for the text that keys are compared by; null where one of them is."""
    return " || chr(31) || ".join(_comparable(f"({value})::varchar") for value in values)


def _comparable(text: str) -> str:
    """Times as microseconds since the epoch, as the log writes them; and whole numbers without a point, which they may
    have got in a table of floats."""
    moment = f"epoch_us(try_cast({text} as timestamptz))::varchar"
    is_time = rf"regexp_full_match({text}, '\d{{4}}-\d\d-\d\d[T ]\d\d:.*')"
    number = rf"regexp_replace({text}, '^(-?\d+)\.0+$', '\1')"
    return f"case when {is_time} then coalesce({moment}, {text}) else {number} end"


def quoted(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
