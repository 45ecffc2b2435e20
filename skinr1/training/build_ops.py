"""Compiles what DeepSpeed would compile at its first start on a CPU (two minutes), once, while the environment is made.

``python -m skinr1.training.build_ops``: does nothing where it is built already, or where there is a GPU.
"""

import time
from pathlib import Path

import torch
from deepspeed.accelerator import get_accelerator
from torch.utils.cpp_extension import get_default_build_root

# Shared-memory communication of CPU ranks, and the Adam of an optimizer in the host's memory (zero3_offload.json).
OPS = ("ShareMemCommBuilder", "CPUAdamBuilder")
LONGEST = 900.0  # seconds that a compilation takes at most


def forget_killed(root: Path) -> None:
    """Removes the locks of compilations that were killed: torch would wait for them for ever, without a word."""
    for lock in sorted(root.glob("*/deepspeed_*/lock")):
        if time.time() - lock.stat().st_mtime > LONGEST:
            print(f"removed the lock of a compilation that was killed: {lock}")
            lock.unlink()


def main() -> None:
    """Builds the operations into torch's extension cache."""
    forget_killed(Path(get_default_build_root()))
    if torch.cuda.is_available():
        return
    for name in OPS:
        builder = get_accelerator().create_op_builder(name)
        if builder is not None and builder.is_compatible():
            builder.load()


if __name__ == "__main__":
    main()
