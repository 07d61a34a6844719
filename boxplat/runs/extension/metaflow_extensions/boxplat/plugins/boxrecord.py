"""The step decorator that `box run` adds to every step: it appends what happens to the run's spool.

It runs in the scheduler and in every task, so it uses the standard library only, imports nothing heavy and never makes
a user's step fail. A record is one JSON object on one line; boxplat.runs.spool documents the fields.
"""

import os
import sys
import time
import traceback
from typing import Any, ClassVar

from metaflow.decorators import StepDecorator
from metaflow.metaflow_current import current

from . import claims, header_providers, published, triggered, usage
from .clones import record_clones
from .spool_writer import TRACEBACK, harmless, write

SHORT = 250
WHOLE = 6000
MANY = 100
CHEAP_BYTES = 10_000
NUMERIC_LIBRARIES = frozenset({"numpy", "torch", "jax", "jaxlib"})


class BoxRecord(StepDecorator):
    """Records the run it is part of; switched on by METAFLOW_DECOSPECS=boxrecord."""

    name = "boxrecord"

    # Of the process, not of the step: every step has its own instance.
    announced: ClassVar[bool] = False
    parameters: ClassVar[dict[str, tuple[str, str]]] = {}

    @harmless
    def step_init(self, flow: Any, graph: Any, step_name: str, decorators: list[Any], *_: Any) -> None:
        self._decorators = decorators
        if not BoxRecord.parameters:
            # In a task Metaflow soon replaces the Parameter objects by plain values.
            BoxRecord.parameters = {var: (param.name, type(param).__name__) for var, param in flow._get_parameters()}

    @harmless
    def runtime_init(self, flow: Any, graph: Any, package: Any, run_id: Any) -> None:
        if not BoxRecord.announced:
            BoxRecord.announced = True
            write({"kind": "run", "at": time.time(), "flow": flow.name, "run": str(run_id)})
            record_clones()

    def runtime_step_cli(self, cli_args: Any, retry_count: int, max_user_code_retries: int, ubf_context: Any) -> None:
        claims.put(cli_args, self._decorators, retry_count, ubf_context)

    @harmless
    def task_pre_step(
        self,
        step_name: str,
        task_datastore: Any,
        metadata: Any,
        run_id: Any,
        task_id: Any,
        flow: Any,
        graph: Any,
        retry_count: int,
        max_user_code_retries: int,
        ubf_context: Any,
        inputs: list[Any],
    ) -> None:
        self._inputs = inputs
        os.environ["BOXPLAT_STEP"] = step_name
        self._resident = usage.resident()
        tell_tracking_run()
        triggered.tell(metadata, str(run_id), step_name, str(task_id), retry_count, not graph[step_name].in_funcs)
        published.install()
        header_providers.skip_unused()
        stack = getattr(flow, "_foreach_stack", None) or []
        record = self._record("start", retry_count, flow=flow.name, stack=[_frame(frame) for frame in stack])
        record |= {"pid": os.getpid(), "resident": self._resident, "forked": usage.forked()}
        record["asked"] = claims.asked(self._decorators)
        if not graph[step_name].in_funcs or current.origin_run_id:
            record["params"] = self._parameters(flow)
        write(record)

    @harmless
    def task_post_step(self, step_name: str, flow: Any, *_: Any) -> None:
        # Metaflow empties the flow object when it stores the artifacts, so this is the last moment to read them.
        self._artifacts = self._new_artifacts(flow)

    @harmless
    def task_exception(
        self,
        exception: Exception,
        step_name: str,
        flow: Any,
        graph: Any,
        retry_count: int,
        max_user_code_retries: int,
    ) -> None:
        self._artifacts = self._new_artifacts(flow)
        text = "".join(traceback.format_exception(exception))
        write(
            self._record(
                "error",
                retry_count,
                error=f"{type(exception).__name__}: {exception}"[:WHOLE],
                traceback=text[-TRACEBACK:],
                final=retry_count >= max_user_code_retries,
            )
        )

    @harmless
    def task_finished(
        self, step_name: str, flow: Any, graph: Any, is_task_ok: bool, retry_count: int, max_user_code_retries: int
    ) -> None:
        record = self._record("end", retry_count, ok=bool(is_task_ok), **getattr(self, "_artifacts", {}))
        self._measure(record)
        write(record)

    @harmless
    def _measure(self, record: dict[str, Any]) -> None:
        record["profile"] = usage.used(self._resident)

    def _record(self, kind: str, attempt: int, **fields: Any) -> dict[str, Any]:
        return {
            "kind": kind,
            "at": time.time(),
            "run": str(current.run_id),
            "step": current.step_name,
            "task": str(current.task_id),
            "attempt": attempt,
            **fields,
        }

    def _parameters(self, flow: Any) -> dict[str, str]:
        values = {}
        for var, (name, kind) in BoxRecord.parameters.items():
            if kind == "IncludeFile":
                # The content itself may be large and is loaded on use only.
                values[name] = _file(self._inputs[0][var])
            else:
                values[name] = str(getattr(flow, var))[:WHOLE]
        return values

    def _new_artifacts(self, flow: Any) -> dict[str, Any]:
        """Scalars, flat tables of numbers and the two agreed names among what this step has set."""
        skipped = {"name", *BoxRecord.parameters, *flow._EPHEMERAL}
        found: dict[str, Any] = {"artifacts": {}, "digests": {}, "feature_service": None}
        for name, value in list(vars(flow).items()):
            if not name.startswith("_") and name not in skipped:
                self._collect(found, name, value)
        return found

    @harmless
    def _collect(self, found: dict[str, Any], name: str, value: Any) -> None:
        if name == "data_digests" and isinstance(value, dict):
            found["digests"] = {str(key): str(value[key])[:SHORT] for key in list(value)[:MANY]}
        elif name == "feature_service" and isinstance(value, str):
            found["feature_service"] = value[:SHORT]
        else:
            plain = _plain(value)
            if plain is not None and not self._inherited(name, value):
                found["artifacts"][name] = plain

    def _inherited(self, name: str, value: object) -> bool:
        """Whether the step only read this artifact: reading leaves it on the flow object, just as setting does."""
        for datastore in self._inputs[:1]:
            if name in datastore and datastore._info.get(name, {}).get("size", 0) <= CHEAP_BYTES:
                before = datastore[name]
                return type(before) is type(value) and bool(before == value)
        return False


def tell_tracking_run() -> None:
    """Pass on the MLflow run that the launcher made after the flow had started."""
    folder = os.path.dirname(os.environ.get("BOXPLAT_SPOOL", ""))
    if folder and "BOXPLAT_TRACKING_RUN_ID" not in os.environ:
        try:
            with open(os.path.join(folder, "tracking_run_id"), encoding="ascii") as file:
                os.environ["BOXPLAT_TRACKING_RUN_ID"] = file.read().strip()
        except FileNotFoundError:
            return


def _frame(frame: Any) -> dict[str, Any]:
    return {"step": frame.step, "var": frame.var, "index": frame.index, "value": str(frame.value)[:SHORT]}


def _file(included: Any) -> str:
    """An included file by its content's digest, which Metaflow uses as its name."""
    descriptor = getattr(included, "descriptor", None) or {}
    return f"{os.path.basename(descriptor.get('url', ''))} ({descriptor.get('size')} bytes)"


def _plain(value: object) -> object:
    """The value as JSON keeps it: a number, a truth value, a short text, or a flat table of numbers; else None."""
    if isinstance(value, dict):
        if not 0 < len(value) <= MANY:
            return None
        table = {str(key)[:SHORT]: _number(item) for key, item in value.items()}
        return table if all(item is not None for item in table.values()) else None
    if isinstance(value, str):
        return value if len(value) <= SHORT else None
    return _number(value)


def _number(value: Any) -> bool | int | float | None:
    if isinstance(value, bool):
        return value
    if type(value).__module__.partition(".")[0] in NUMERIC_LIBRARIES and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        return None
    return value if isinstance(value, bool | int | float) else None
