"""Compiles what DeepSpeed would compile at its first start on a CPU (about a minute), while the environment is made.

``python -m skinr1.training.build_ops``: does nothing where it is built already, or where there is a GPU.
"""

import torch
from deepspeed.accelerator import get_accelerator


def main() -> None:
    """Builds into torch's extension cache: communication between CPU ranks, and Adam for offloaded states."""
    if torch.cuda.is_available():
        return
    for name in ("ShareMemCommBuilder", "CPUAdamBuilder"):
        builder = get_accelerator().create_op_builder(name)
        if builder is not None and builder.is_compatible():
            builder.load()


if __name__ == "__main__":
    main()
