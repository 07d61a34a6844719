"""The client by which `IncludeFile` uploads: to the folder of the export, under the URL that the file will have."""

import gzip
import os
from typing import Any

from metaflow.metaflow_config import DATASTORE_SYSROOT_S3


class OfflineS3Client:
    """What `IncludeFile` uses of Metaflow's S3 client."""

    TYPE = "s3"

    @classmethod
    def get_root_from_config(cls, echo: Any, create_on_absent: bool = True) -> str:
        return f"{DATASTORE_SYSROOT_S3}/data"

    def __enter__(self) -> "OfflineS3Client":
        return self

    def __exit__(self, *failure: Any) -> None:
        """There is nothing to close."""

    def put(self, key: str, obj: bytes, overwrite: bool = True) -> str:
        """Store a gzipped object; returns its URL. Metaflow's gzip header says when it was made."""
        target = os.path.join(os.environ["BOXPLAT_EXPORT_STORE"], key.removeprefix(f"{DATASTORE_SYSROOT_S3}/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(gzip.compress(gzip.decompress(obj), compresslevel=3, mtime=0))
        return key
