"""A bucket of S3 or of a server that speaks its protocol."""

from __future__ import annotations

import base64
import gzip
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from boxplat.core.errors import BoxError, ExitCode

# What belongs to an object of Metaflow's, in its own words.
_ATTRIBUTES = "metaflow-user-attributes"
# Parts of large files: up to 10,000 of them, so files up to 320 GB.
PART = 32 * 2**20
_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as a listing shows it; `etag` is the MD5 of its content where the server encrypts nothing."""

    size: int
    etag: str


class Bucket:
    """One bucket and a prefix in it. Credentials come from the environment, as for every program of AWS's."""

    def __init__(self, url: str, endpoint: str = "") -> None:
        import boto3
        from botocore.config import Config

        parts = urlsplit(url)
        self.name, self.prefix, self.url = parts.netloc, parts.path.strip("/"), url.rstrip("/")
        self._place = f"{url} at {endpoint}" if endpoint else url
        # Of servers other than AWS's not all know the newer checksums; the MD5 is checked by every one.
        settings = Config(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"max_attempts": 6, "mode": "standard"},
            connect_timeout=10,
            max_pool_connections=32,
            s3={"addressing_style": "path"} if endpoint else {},
        )
        self._client: Any = boto3.client("s3", endpoint_url=endpoint or None, config=settings)

    def check(self) -> None:
        """Refuse a bucket that is not there or may not be read.

        Raises:
            BoxError: so it is (exit code 4).
        """
        with self._explained():
            self._client.list_objects_v2(Bucket=self.name, MaxKeys=1)

    def listing(self, prefix: str) -> dict[str, Stored]:
        """Every object whose key begins so."""
        found = {}
        with self._explained():
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
                for one in page.get("Contents", ()):
                    found[one["Key"]] = Stored(one["Size"], one["ETag"].strip('"'))
        return found

    def put(self, key: str, path: Path, attributes: str) -> tuple[str, str]:
        """Store a file; the server compares what it gets with its MD5.

        Returns:
            The ETag of what was sent, and that of the object, which is another one where the server encrypts.

        Raises:
            BoxError: the server refuses.
            OSError: the file cannot be read.
        """
        extra = {"Metadata": {_ATTRIBUTES: attributes}} if attributes else {}
        with self._explained():
            if path.stat().st_size > PART:
                return self._put_large(key, path, extra)
            content = path.read_bytes()
            digest = hashlib.md5(content, usedforsecurity=False)
            named = {"Bucket": self.name, "Key": key, "ContentMD5": base64.b64encode(digest.digest()).decode()}
            answer = self._client.put_object(**named, Body=content, **extra)
        return digest.hexdigest(), str(answer["ETag"]).strip('"')

    def _put_large(self, key: str, path: Path, extra: dict[str, Any]) -> tuple[str, str]:
        begun = self._client.create_multipart_upload(Bucket=self.name, Key=key, **extra)
        named = {"Bucket": self.name, "Key": key, "UploadId": begun["UploadId"]}
        parts: list[dict[str, Any]] = []
        digests: list[bytes] = []
        try:
            with path.open("rb") as file:
                while content := file.read(PART):
                    digests.append(hashlib.md5(content, usedforsecurity=False).digest())
                    own = {"PartNumber": len(digests), "ContentMD5": base64.b64encode(digests[-1]).decode()}
                    sent = self._client.upload_part(**named, **own, Body=content)
                    parts.append({"PartNumber": len(digests), "ETag": sent["ETag"]})
            done = self._client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
        except BaseException:
            self._client.abort_multipart_upload(**named)
            raise
        return _of_parts(digests), str(done["ETag"]).strip('"')

    def attributes(self, key: str) -> str:
        """What Metaflow keeps with an object."""
        with self._explained():
            found = self._client.head_object(Bucket=self.name, Key=key)["Metadata"]
        return str(found.get(_ATTRIBUTES, ""))

    def read(self, key: str) -> bytes:
        """The content of an object."""
        with self._explained():
            content: bytes = self._client.get_object(Bucket=self.name, Key=key)["Body"].read()
            return content

    def etag(self, key: str) -> str:
        """The ETag that an object would have by its content, which is read for it."""
        with self._explained():
            body = self._client.get_object(Bucket=self.name, Key=key)["Body"]
            return etag(iter(lambda: body.read(_BLOCK), b""))

    def sha1(self, key: str) -> set[str]:
        """The SHA-1 of an object as it is, and of what it is when it was compressed."""
        with self._explained():
            content = self._client.get_object(Bucket=self.name, Key=key)["Body"].read()
        found = {hashlib.sha1(content, usedforsecurity=False).hexdigest()}
        with suppress(OSError, EOFError, zlib.error):
            found.add(hashlib.sha1(gzip.decompress(content), usedforsecurity=False).hexdigest())
        return found

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError, Boto3Error) as error:
            raise BoxError(
                f"the object storage {self._place} refuses",
                why=str(error),
                fix="make the bucket, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to an account that may write "
                "to it; then run the same command: it goes on where it stopped",
                code=ExitCode.PRECONDITION,
            ) from error


def file_etag(path: Path) -> str:
    """The ETag that a file gets when `Bucket.put` stores it.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return etag(iter(lambda: file.read(_BLOCK), b""))


def etag(blocks: Iterator[bytes]) -> str:
    """The MD5 of a content of one part; of several parts, the MD5 of theirs and their number.

    That is what S3 answers: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
    """
    digests, own, filled = [], hashlib.md5(usedforsecurity=False), 0
    for block in blocks:
        rest = memoryview(block)
        while len(rest):
            if filled == PART:
                digests.append(own.digest())
                own, filled = hashlib.md5(usedforsecurity=False), 0
            taken = rest[: PART - filled]
            own.update(taken)
            filled, rest = filled + len(taken), rest[len(taken) :]
    if not digests:
        return own.hexdigest()
    return _of_parts([*digests, own.digest()])


def _of_parts(digests: Sequence[bytes]) -> str:
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"
