"""Training: rows, callbacks and thin subclasses of TRL's trainers."""

import warnings

import skinr1.torchvision_shim  # noqa: F401  (before anything that imports a trainer)

# TRL checks the version of whatever vLLM is installed. Here that one serves in a process of its own; rollouts on a GPU
# use the version of constraints/gpu.txt.
warnings.filterwarnings("ignore", message="TRL currently supports vLLM versions")
