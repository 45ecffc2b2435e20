"""Compiles what DeepSpeed would compile at its first start on a CPU (about 40 s), once, while the environment is made.

``python -m skinr1.training.build_ops``: does nothing where it is built already, or where there is a GPU.
"""

import torch
from deepspeed.accelerator import get_accelerator


def main() -> None:
    """Builds DeepSpeed's shared-memory communication for CPU ranks into torch's extension cache."""
    if torch.cuda.is_available():
        return
    builder = get_accelerator().create_op_builder("ShareMemCommBuilder")
    if builder is not None and builder.is_compatible():
        builder.load()


if __name__ == "__main__":
    main()
