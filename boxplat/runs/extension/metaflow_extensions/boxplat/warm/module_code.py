"""What a flow's modules do when they are imported, where it would matter that they are imported once for all tasks."""

import dis
import inspect
import os
import sys
import sysconfig
from collections.abc import Iterator
from types import CodeType, ModuleType

_COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})
_LOADS = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_ATTR", "LOAD_METHOD", "LOAD_DEREF"})
# The arguments, the process, files of its own, random numbers: in a fresh interpreter each task has others.
_OWN = frozenset(
    """argv orig_argv getpid getppid current_process parent_process uuid1 uuid4 urandom token_hex token_bytes
    mkdtemp mkstemp NamedTemporaryFile TemporaryDirectory TemporaryFile SpooledTemporaryFile
    Random SystemRandom RandomState default_rng Generator PRNGKey PCG64 Philox""".split()
)


def doubt() -> str | None:
    """The first such thing in the flow's own modules; those of installed packages are taken to be harmless."""
    for module in _own_modules():
        file = os.path.basename(str(module.__file__))
        code = _code(module)
        name = next(_names(code), None) if code is not None else None
        if name is not None:
            return f"{file} uses {name} when it is imported"
        made = next((key for key, value in vars(module).items() if type(value).__name__ in _OWN), None)
        if made is not None:
            return f"{file} makes {made} when it is imported"
    return None


def _own_modules() -> Iterator[ModuleType]:
    extension = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
    standard = os.path.join(sysconfig.get_path("stdlib"), "")
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py") and not file.startswith((extension, standard)):
            if "site-packages" not in file and "dist-packages" not in file:
                yield module


def _code(module: ModuleType) -> CodeType | None:
    loader = getattr(module, "__loader__", None)
    if loader is None or not hasattr(loader, "get_code"):
        return None
    # A module may go by another name than its loader's: the main one, and Metaflow's aliases of extensions.
    code = loader.get_code(getattr(loader, "name", module.__name__))
    return code if isinstance(code, CodeType) else None


def _names(code: CodeType) -> Iterator[str]:
    """What the code reads of `_OWN` and what has to do with seeds, also in class bodies and comprehensions."""
    for instruction in dis.get_instructions(code):
        name = str(instruction.argval)
        if instruction.opname in _LOADS and (name in _OWN or ("seed" in name and name != "seed")):
            yield name
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD") and name == "seed":
            yield name
    for constant in code.co_consts:
        if isinstance(constant, CodeType) and (
            not constant.co_flags & inspect.CO_NEWLOCALS or constant.co_name in _COMPREHENSIONS
        ):
            yield from _names(constant)
