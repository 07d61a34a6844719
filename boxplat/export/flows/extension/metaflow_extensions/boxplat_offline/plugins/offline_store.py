"""An `s3` datastore that keeps its objects in a folder: same names and URLs as on S3, no client, no network."""

import os
from typing import Any

from metaflow.datastore.datastore_storage import DataStoreStorage
from metaflow.metaflow_config import DATASTORE_SYSROOT_S3
from metaflow.plugins.datastores.local_storage import LocalStorage

from . import reproducible_package

reproducible_package.install()
_Folder: Any = LocalStorage


class OfflineS3Storage(DataStoreStorage):
    """Objects go to `BOXPLAT_EXPORT_STORE`; `full_uri` gives the URL that they will have after upload."""

    TYPE: Any = "s3"

    def __init__(self, root: str | None = None) -> None:
        super().__init__(root)  # type: ignore[no-untyped-call]
        self._folder: Any = _Folder(os.environ["BOXPLAT_EXPORT_STORE"])

    @classmethod
    def get_datastore_root_from_config(cls, echo: Any, create_on_absent: bool = True) -> str:
        return str(DATASTORE_SYSROOT_S3)

    def is_file(self, paths: Any) -> Any:
        return self._folder.is_file(paths)

    def info_file(self, path: str) -> Any:
        return self._folder.info_file(path)

    def size_file(self, path: str) -> Any:
        return self._folder.size_file(path)

    def list_content(self, paths: Any) -> Any:
        return self._folder.list_content(paths)

    def save_bytes(self, path_and_bytes_iter: Any, overwrite: bool = False, len_hint: int = 0) -> None:
        self._folder.save_bytes(path_and_bytes_iter, overwrite, len_hint)

    def load_bytes(self, paths: Any) -> Any:
        return self._folder.load_bytes(paths)
