"""Compiles what DeepSpeed would compile at its first start on a CPU (two minutes), once, while the environment is made.

``python -m skinr1.training.build_ops``: does nothing where it is built already, or where there is a GPU.
"""

import torch
from deepspeed.accelerator import get_accelerator

# Shared-memory communication of CPU ranks, and the Adam of an optimizer in the host's memory (zero3_offload.json).
OPS = ("ShareMemCommBuilder", "CPUAdamBuilder")


def main() -> None:
    """Builds the operations into torch's extension cache."""
    if torch.cuda.is_available():
        return
    for name in OPS:
        builder = get_accelerator().create_op_builder(name)
        if builder is not None and builder.is_compatible():
            builder.load()


if __name__ == "__main__":
    main()
