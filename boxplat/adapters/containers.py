"""Docker: images built, pushed, and run. The one home of docker-py; any engine with Docker's API will do."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from boxplat.core.errors import BoxError, ExitCode

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

    Client: TypeAlias = DockerClient

Told = Callable[[str], None]
_BUILD_SECONDS = 3600
_STOP_SECONDS = 10
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Built:
    """An image in the engine: its id (`sha256:…`), its size in bytes, and the digests of its layers."""

    id: str
    size: int
    layers: tuple[str, ...]


def connect() -> Client:
    """The engine that DOCKER_HOST names, or this machine's.

    Raises:
        BoxError: none answers (exit code 4).
    """
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=_BUILD_SECONDS)
        client.ping()
    except (DockerException, OSError) as error:
        raise BoxError(
            "no Docker engine answers",
            why=str(error),
            fix="start Docker or Podman's service, or set DOCKER_HOST; only --build and --push need it",
            code=ExitCode.PRECONDITION,
        ) from error
    return client


def available() -> bool:
    """Whether an engine answers."""
    try:
        connect().close()
    except BoxError:
        return False
    return True


def build(client: Client, folder: IO[bytes], tag: str, arguments: Mapping[str, str], told: Told) -> Built:
    """Build an image from a tar archive with a Dockerfile in it.

    Args:
        arguments: build arguments.
        told: hears of every step of the Dockerfile.

    Raises:
        BoxError: a step of the Dockerfile failed.
    """
    lines: list[str] = []
    stream = client.api.build(
        fileobj=folder,
        custom_context=True,
        tag=tag,
        buildargs=dict(arguments),
        network_mode="host",
        rm=True,
        forcerm=True,
        decode=True,
    )
    for entry in _read(stream, f"the image {tag} cannot be built"):
        said = _COLOUR.sub("", str(entry.get("stream", ""))).rstrip()
        if said:
            lines.append(said)
        if said.startswith("Step "):
            told(said)
        if "error" in entry:
            raise BoxError(
                f"the image {tag} cannot be built",
                why="\n".join([*lines[-8:], _COLOUR.sub("", str(entry["error"])).strip()]),
                fix="correct what it says, then repeat the command: what was built before is kept",
            )
    return inspect(client, tag)


def inspect(client: Client, reference: str) -> Built:
    """What the engine knows of an image.

    Raises:
        BoxError: there is no such image (exit code 9).
    """
    from docker.errors import ImageNotFound

    try:
        found = client.images.get(reference).attrs
    except ImageNotFound as error:
        raise BoxError(
            f"the engine has no image {reference}",
            why=str(error.explanation),
            fix="box export images --build",
            code=ExitCode.NOT_FOUND,
        ) from error
    return Built(found["Id"], int(found["Size"]), tuple(found["RootFS"]["Layers"]))


def push(client: Client, reference: str, told: Told) -> str:
    """Push an image to its registry with the rights that `docker login` has stored.

    Returns:
        The digest (`sha256:…`) by which the registry knows it.

    Raises:
        BoxError: the registry refused it or does not answer.
    """
    repository, _, tag = reference.rpartition(":")
    digest = ""
    stream = client.images.push(repository, tag=tag, stream=True, decode=True)
    for entry in _read(stream, f"the image {reference} cannot be pushed"):
        if "error" in entry:
            raise _unpushed(reference, str(entry["error"]))
        if entry.get("status") and not entry.get("progressDetail"):
            told(" ".join(filter(None, (entry.get("id"), entry["status"]))))
        digest = (entry.get("aux") or {}).get("Digest", digest)
    if not digest:
        raise _unpushed(reference, "the registry did not say under which digest it has stored it")
    return digest


def _unpushed(reference: str, why: str) -> BoxError:
    return BoxError(
        f"the image {reference} cannot be pushed",
        why=why,
        fix="docker login REGISTRY; `registry` in [export] of boxplat.toml says where images go",
    )


def _read(stream: Iterator[dict[str, Any]], what: str) -> Iterator[dict[str, Any]]:
    """The engine's answers; one that it breaks off is an error of a person's kind."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        yield from stream
    except (DockerException, RequestException) as error:
        raise BoxError(what, why=str(error), fix="docker info") from error


@contextlib.contextmanager
def running(
    client: Client,
    image: str,
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    mounts: Mapping[str, tuple[str, bool]] | None = None,
    scratch: Sequence[str] = ("/tmp",),
    user: str = "1000:1000",
    working_dir: str | None = None,
    read_only: bool = True,
) -> Iterator[Container]:
    """A container while it is needed, on the machine's own network, without rights: as a pod on a cluster runs it.

    Args:
        mounts: by path in the container, the folder of this machine and whether it may be written to.
        scratch: folders that can be written to and are gone with the container.

    Raises:
        BoxError: the engine refuses to start it.
    """
    from docker.errors import APIError, DockerException

    try:
        container = client.containers.run(
            image,
            list(command),
            detach=True,
            environment=dict(env or {}),
            volumes={
                folder: {"bind": path, "mode": "rw" if writable else "ro"}
                for path, (folder, writable) in (mounts or {}).items()
            },
            tmpfs={path: f"uid={user.partition(':')[0]},mode=1777" for path in scratch},
            user=user,
            working_dir=working_dir,
            read_only=read_only,
            network_mode="host",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
        )
    except DockerException as error:
        raise BoxError(f"the image {image} does not start", why=str(error), fix=f"docker run {image}") from error
    try:
        yield container
    finally:
        with contextlib.suppress(APIError):
            container.stop(timeout=_STOP_SECONDS)
        container.remove(force=True, v=True)
