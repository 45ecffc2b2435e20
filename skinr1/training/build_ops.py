"""Compiles what DeepSpeed would compile at its first start on a CPU (two minutes), once, while the environment is made.

``python -m skinr1.training.build_ops``: does nothing where it is built already, or where there is a GPU.
"""

import os
import time
from pathlib import Path

import torch
from deepspeed.accelerator import get_accelerator
from torch.utils.cpp_extension import get_default_build_root

# Shared-memory communication of CPU ranks, and the Adam of an optimizer in the host's memory (zero3_offload.json).
OPS = ("ShareMemCommBuilder", "CPUAdamBuilder")
LONGEST = 900.0  # seconds that a compilation takes at most


def forget_killed(root: Path, name: str) -> None:
    """Removes the lock of a compilation that was killed: torch would wait for it for ever, without a word.

    Args:
        root: torch's folder of extensions; a level for the version of Python lies below the usual one.
        name: of the extension.
    """
    for lock in (*root.glob(f"*/{name}/lock"), *root.glob(f"{name}/lock")):
        if time.time() - lock.stat().st_mtime > LONGEST:
            print(f"removed the lock of a compilation that was killed: {lock}")
            lock.unlink()


def main() -> None:
    """Builds the operations into torch's extension cache."""
    if torch.cuda.is_available():
        return
    for name in OPS:
        builder = get_accelerator().create_op_builder(name)
        if builder is not None and builder.is_compatible():
            forget_killed(Path(os.environ.get("TORCH_EXTENSIONS_DIR") or get_default_build_root()), builder.name)
            builder.load()


if __name__ == "__main__":
    main()
