"""Training: rows, callbacks and thin subclasses of TRL's trainers."""

import skinr1.torchvision_shim  # noqa: F401  (before anything that imports a trainer)
