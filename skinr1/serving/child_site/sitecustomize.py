"""Runs at the start of every Python process below a CPU vLLM and mends two modules in each as they are imported.

torchvision, which does not import beside a CPU build of torch: vLLM imports it (through transformers) while its own
modules load, in the API server, in the engine core and in the subprocess that inspects model classes, before any
``vllm.general_plugins`` entry point is called. So the mending waits at the import itself.

vLLM's shared-memory queue, whose readers ask again and again for a second before they sleep: with the worker on one of
two cores, the engine core takes the other one for its asking, from the API server and from whoever asks it. Here
readers sleep at once; a writer wakes them.

Only :mod:`skinr1.serving.process` puts this folder on a path, and only under a CPU build of torch. It costs nothing
until somebody imports one of the two.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

SHIM = Path(__file__).parents[2] / "torchvision_shim.py"
TORCHVISION, QUEUE = "torchvision", "vllm.distributed.device_communicators.shm_broadcast"


class _Shimmed(Loader):
    """Lets the shim import the real module, and hands that module over."""

    def __init__(self, finder: MetaPathFinder, real: ModuleSpec):
        self.finder, self.real = finder, real

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        if self.finder in sys.meta_path:
            sys.meta_path.remove(self.finder)
        shim = importlib.util.spec_from_file_location("skinr1_torchvision_shim", SHIM)
        assert shim is not None
        assert shim.loader is not None
        module = importlib.util.module_from_spec(shim)
        sys.modules[shim.name] = module  # the operators live as long as the library object in it
        shim.loader.exec_module(module)
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.real  # already executed by the shim


class _TorchvisionFinder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        real = PathFinder.find_spec(fullname, path) if fullname == TORCHVISION else None
        if real is None:
            return None
        locations = real.submodule_search_locations
        spec = ModuleSpec(fullname, _Shimmed(self, real), origin=real.origin, is_package=locations is not None)
        spec.submodule_search_locations = locations
        return spec


class _Sleeping(Loader):
    """The real queue, with ``SpinCondition(busy_loop_s=0)`` as default."""

    def __init__(self, real: Loader):
        self.real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.real.exec_module(module)
        start = getattr(getattr(module, "SpinCondition", None), "__init__", None)
        if getattr(start, "__defaults__", None) == (1,):
            start.__defaults__ = (0,)  # type: ignore[union-attr]
        else:
            print(f"skinr1: {QUEUE} is not as in the tested vLLM; its readers stay busy", file=sys.stderr)


class _QueueFinder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname == QUEUE else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Sleeping(spec.loader)
        return spec


sys.meta_path[:0] = [_TorchvisionFinder(), _QueueFinder()]
