"""Shared-prefix scoring: the completions of one prompt are scored behind one copy of the prompt and its images.

:mod:`skinr1.training.packing` says how; here are the shapes of TRL's GRPO.
"""

from typing import Any

import torch
from torch import Tensor

from skinr1.training.packing import Batch, images_of


def completions(input_ids: Tensor, attention_mask: Tensor, length: int, **images: Any) -> Batch:
    """Left-padded prompts with right-padded completions, as TRL hands them to the trainer.

    Args:
        input_ids, attention_mask: [B, P + C].
        length: C.
        images: what the model takes beside them, and the number of images of each sample.
    """
    labels = input_ids.masked_fill(attention_mask == 0, -100)
    labels[:, : input_ids.size(1) - length] = -100
    return Batch(input_ids, attention_mask, labels, **images)


def prompts(input_ids: Tensor, attention_mask: Tensor, image_token: int, **images: Any) -> Batch:
    """Prompts alone, as TRL hands them to ``generate``."""
    counts = None if images.get("image_grid_thw") is None else images_of(input_ids, image_token)
    return Batch(input_ids, attention_mask, torch.full_like(input_ids, -100), num_images=counts, **images)
