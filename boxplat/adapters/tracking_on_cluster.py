"""Prepares MLflow on a cluster: its tables, the settings of its login, and who may log in.

The exported Deployment carries this text and runs it before its server, in an image that has MLflow and no boxplat.
"""

import os
from pathlib import Path
from typing import Any

SETTINGS = """\
[mlflow]
default_permission = EDIT
database_uri = {database}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


def main() -> None:
    """Everything comes from the environment, where Kubernetes puts what Secrets hold."""
    database = os.environ["_MLFLOW_SERVER_FILE_STORE"]
    configure(database, Path(os.environ["MLFLOW_AUTH_CONFIG_PATH"]))
    _make_tables(database)
    _make_users()


def configure(database: str, settings: Path) -> None:
    """Write MLflow's settings of the login, which hold the database's address, for nobody else to read."""
    settings.parent.mkdir(mode=0o700, exist_ok=True)
    settings.touch(mode=0o600)
    # The reader of such files takes a single % for the begin of a reference.
    settings.write_text(SETTINGS.format(database=database.replace("%", "%%")))


def _make_tables(database: str) -> None:
    from mlflow.store.db import utils as untyped

    utils: Any = untyped
    engine = utils.create_sqlalchemy_engine_with_retry(database)
    # MLflow looks for any table, and would find those of others (Feast's) that share the database.
    known = utils._get_schema_version(engine) is not None
    (utils._upgrade_db if known else utils._initialize_tables)(engine)
    engine.dispose()


def _make_users() -> None:
    from mlflow.server import auth

    login: Any = auth
    login.bootstrap_admin_user()
    name, password = (os.environ[f"MLFLOW_TRACKING_{key}"] for key in ("USERNAME", "PASSWORD"))
    if name == os.environ["MLFLOW_AUTH_ADMIN_USERNAME"]:
        return
    # The Secret is what counts: a new password in it holds from the next start on.
    (login.store.update_user if login.store.has_user(name) else login.store.create_user)(name, password=password)


if __name__ == "__main__":
    main()
