"""A project's data in an object store: fetched from there, a repository's files put there and registered there.

For a cluster. Data that was moved there lies in the store, and flows write to a volume: `fetch` brings what the volume
lacks. Features may be read from the store instead of from the volume: `publish` and `apply`, in the repository's
folder. Each is `python -m boxplat.features.elsewhere VERB`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from boxplat.core import lines
from boxplat.core.errors import BoxError, ExitCode
from boxplat.features import remote

if TYPE_CHECKING:
    from feast.data_source import DataSource
    from feast.repo_contents import RepoContents

_BLOCK = 1 << 22
# In the folder: the files that it once had.
_SEEN = ".fetched.jsonl"
VERBS = ("fetch", "publish", "apply")


@dataclass(frozen=True)
class Move:
    """From a folder to a URL (`s3://bucket/prefix`); `spark` makes sources of Feast's Spark store of them."""

    folder: Path
    url: str
    spark: bool = False

    def path(self, path: str) -> str | None:
        """Where a file of the folder is then; None for a path that is elsewhere already."""
        try:
            below = Path(path).relative_to(self.folder).as_posix()
        except ValueError:
            return None
        there = f"{self.url.rstrip('/')}/{below}"
        return there.replace("s3://", "s3a://", 1) if self.spark else there

    def source(self, source: DataSource) -> DataSource:
        """The same source at its new place; sources that are not below the folder stay."""
        from feast import FileSource, PushSource

        if isinstance(source, PushSource) and source.batch_source is not None:
            source.batch_source = self.source(source.batch_source)
            return source
        path = self.path(source.path) if isinstance(source, FileSource) else None
        if path is None:
            return source
        return _spark_source(source, path) if self.spark else _file_source(source, path)


def move(contents: RepoContents, move: Move) -> None:
    """Let every source and every view of a repository point to the new place."""
    contents.data_sources[:] = [move.source(source) for source in contents.data_sources]
    for view in [*contents.feature_views, *contents.stream_feature_views]:
        if view.batch_source is not None:
            view.batch_source = move.source(view.batch_source)


def publish(contents: RepoContents, move: Move) -> Iterator[str]:
    """Copy the files of sources that the store does not have, or has an older one of; yields their URLs.

    A file is seen there whole or not at all: that is how object stores write.
    """
    from pyarrow import fs

    store, root = remote.store(move.url), move.url.removeprefix(remote.S3)
    for file in sorted(_files(contents, move)):
        there = f"{root.rstrip('/')}/{file.relative_to(move.folder).as_posix()}"
        known, own = store.get_file_info(there), file.stat()
        if known.type is fs.FileType.File and known.size == own.st_size and known.mtime.timestamp() >= own.st_mtime:
            continue
        with store.open_output_stream(there) as out, file.open("rb") as content:
            while block := content.read(_BLOCK):
                out.write(block)
        yield f"{move.url.rstrip('/')}/{file.relative_to(move.folder).as_posix()}"


def fetch(move: Move) -> Iterator[str]:
    """Copy the objects below the URL that the folder never had a file for, with their times; yields their paths in it.

    What the folder had once and has no more was deleted there: a table of several files that was written anew.
    """
    from pyarrow import fs

    store, root = remote.store(move.url), move.url.removeprefix(remote.S3).rstrip("/")
    seen = {str(record["path"]) for record in lines.read(move.folder / _SEEN)}
    for found in store.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True)):
        below = PurePosixPath(found.path).relative_to(root)
        target = move.folder / below
        if found.type is not fs.FileType.File or ".." in below.parts or below.as_posix() in seen:
            continue
        if target.exists():
            lines.append(move.folder / _SEEN, {"path": below.as_posix()})
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        # Whoever looks meanwhile sees no half of it; what is left of a kill is written over.
        part = target.with_name(f".{target.name}.part")
        with store.open_input_stream(found.path) as content, part.open("wb") as out:
            while block := content.read(_BLOCK):
                out.write(block)
        # Otherwise it would seem to be newer than what is there, and be published.
        os.utime(part, (found.mtime.timestamp(), found.mtime.timestamp()))
        part.replace(target)
        lines.append(move.folder / _SEEN, {"path": below.as_posix()})
        yield below.as_posix()


def _files(contents: RepoContents, move: Move) -> set[Path]:
    from feast import FileSource, PushSource

    found: set[Path] = set()
    for source in contents.data_sources:
        one = source.batch_source if isinstance(source, PushSource) else source
        if isinstance(one, FileSource) and move.path(one.path) is not None:
            place = Path(one.path)
            found |= {file for file in place.rglob("*") if file.is_file()} if place.is_dir() else {place}
    return {file for file in found if file.is_file()}


def _file_source(source: Any, path: str) -> DataSource:
    message = source.to_proto()
    message.file_options.uri = path
    from feast import FileSource

    moved: DataSource = FileSource.from_proto(message)
    return moved


def _spark_source(source: Any, path: str) -> DataSource:
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource

    return SparkSource(
        name=source.name,
        path=path,
        file_format="parquet",
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column,
        field_mapping=source.field_mapping,
        description=source.description,
        tags=source.tags,
        owner=source.owner,
    )


def main(words: list[str]) -> None:
    """Do what the one word says, with the settings that `FEAST_FS_YAML_FILE_PATH` names."""
    if len(words) != 1 or words[0] not in VERBS:
        raise BoxError(
            f"say one of {', '.join(VERBS)}",
            why=f"found {words}",
            fix="python -m boxplat.features.elsewhere apply",
            code=ExitCode.USAGE,
        )
    spark = os.environ.get("BOXPLAT_OFFLINE_KIND") == "spark"
    there = Move(Path(os.environ["BOXPLAT_DATA"]), os.environ["BOXPLAT_OFFLINE"], spark)
    if words[0] == "fetch":
        _say(fetch(there))
        return
    from feast import FeatureStore
    from feast.repo_operations import apply_total_with_repo_instance

    from boxplat.features.definitions import read

    store = FeatureStore(repo_path=str(Path.cwd()), fs_yaml_file=Path(os.environ["FEAST_FS_YAML_FILE_PATH"]))
    contents = read(store, Path.cwd())
    if words[0] == "publish":
        _say(publish(contents, there))
        return
    move(contents, there)
    apply_total_with_repo_instance(store, store.project, store.registry, contents, skip_source_validation=spark)


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
