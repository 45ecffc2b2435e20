"""Runs at the start of every Python process below a CPU vLLM and mends ``import torchvision`` in each.

vLLM imports torchvision (through transformers) while its own modules load, in the API server, in the engine core
and in the subprocess that inspects model classes: before any ``vllm.general_plugins`` entry point is called. So
the mending waits at the import itself. Only :mod:`skinr1.serving.process` puts this folder on a path, and only
under a CPU build of torch. It costs nothing until somebody imports torchvision.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

SHIM = Path(__file__).parents[2] / "torchvision_shim.py"


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
        real = PathFinder.find_spec(fullname, path) if fullname == "torchvision" else None
        if real is None:
            return None
        locations = real.submodule_search_locations
        spec = ModuleSpec(fullname, _Shimmed(self, real), origin=real.origin, is_package=locations is not None)
        spec.submodule_search_locations = locations
        return spec


sys.meta_path.insert(0, _TorchvisionFinder())
