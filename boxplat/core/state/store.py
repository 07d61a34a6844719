"""The state of one project, by noun."""

from __future__ import annotations

from boxplat.core.paths import Paths
from boxplat.core.state.changes import Changes
from boxplat.core.state.database import Database
from boxplat.core.state.datasets import Datasets
from boxplat.core.state.disposal import Disposal
from boxplat.core.state.endpoints import Endpoints
from boxplat.core.state.events import Events
from boxplat.core.state.keys import Keys
from boxplat.core.state.meta import Meta
from boxplat.core.state.profiles import Profiles
from boxplat.core.state.queue import Queue
from boxplat.core.state.record import Record
from boxplat.core.state.releases import Releases
from boxplat.core.state.runs import Runs
from boxplat.core.state.schedules import Schedules
from boxplat.core.state.services import Services
from boxplat.core.state.sweeps import Sweeps


class StateStore:
    """The state of one project, by noun."""

    def __init__(self, database: Database, paths: Paths) -> None:
        self.database = database
        self.services = Services(database, paths)
        self.runs = Runs(database, paths)
        self.profiles = Profiles(database)
        self.queue = Queue(database)
        self.releases = Releases(database)
        self.changes = Changes(database)
        self.endpoints = Endpoints(database)
        self.events = Events(database)
        self.meta = Meta(database)
        self.record = Record(database)
        self.keys = Keys(database)
        self.datasets = Datasets(database)
        self.schedules = Schedules(database)
        self.disposal = Disposal(database)
        self.sweeps = Sweeps(database)

    @classmethod
    def open(cls, paths: Paths) -> StateStore:
        """Open the project's state, making or migrating it first.

        Raises:
            BoxError: no permission (exit code 4), or a damaged or newer file (exit code 4; never deleted).
        """
        paths.create()
        return cls(Database(paths.database), paths)

    def close(self) -> None:
        """Close this thread's connection."""
        self.database.close()
