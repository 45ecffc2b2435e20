"""GRPO: TRL's trainer in three small overrides, each for a fault that was confirmed by running it.

1. vLLM rollouts: TRL sends prompts whose image placeholder is already expanded, and vLLM expands it again.
2. Sampling: a model that writes an image-pad token crashes the next forward pass.
3. Resume: with a continued adapter and beta > 0 the checkpoint's policy adapter is not loaded back.
"""

from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from skinr1.vlm import ADAPTER_FILE  # first: makes torchvision importable

from peft import PeftModel, set_peft_model_state_dict  # isort: skip
from peft.utils import load_peft_weights  # isort: skip
from transformers import ProcessorMixin  # isort: skip
from trl import GRPOConfig, GRPOTrainer  # isort: skip


@dataclass
class GrpoConfig(GRPOConfig):
    """TRL's GRPOConfig plus a prompt filter; prompts are never cut."""

    max_prompt_tokens: int | None = field(
        default=2048, metadata={"help": "Longer prompts are left out and listed in filtered.jsonl."}
    )
    disable_tqdm: bool | None = field(default=True, metadata={"help": "The stage has its own progress bar."})


def collapse_pads(ids: list[int], pad_id: int) -> list[int]:
    """Each run of image pads becomes one pad: the form vLLM expands by itself."""
    return [token for token, run in groupby(ids) for _ in range(1 if token == pad_id else len(list(run)))]


def forbidden_tokens(processor: ProcessorMixin) -> list[int]:
    """Special tokens that no answer may contain: all but the end tokens."""
    tokenizer = processor.tokenizer
    allowed = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    return sorted(
        token for token in tokenizer.added_tokens_decoder if token not in allowed and _is_marker(tokenizer, token)
    )


def _is_marker(tokenizer: Any, token: int) -> bool:
    text = tokenizer.added_tokens_decoder[token].content
    return text.startswith("<|") and text.endswith("|>")


class SkinGRPOTrainer(GRPOTrainer):
    """TRL's GRPOTrainer for Qwen-VL policies with a continued adapter. Arguments as for the parent."""

    def __init__(self, model: Any, *, args: GrpoConfig, processing_class: ProcessorMixin, **kwargs: Any):
        forbidden = forbidden_tokens(processing_class)
        extra = (
            {"logit_bias": {str(token): -100.0 for token in forbidden}}
            if args.use_vllm
            else {"suppress_tokens": forbidden}
        )
        args.generation_kwargs = {**extra, **(args.generation_kwargs or {})}
        super().__init__(model=model, args=args, processing_class=processing_class, **kwargs)

    def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
        if self.use_vllm and self._image_pad_token_id is not None:
            prompt_ids = [collapse_pads(ids, self._image_pad_token_id) for ids in prompt_ids]
        return super()._generate_single_turn(prompt_ids, *args, **kwargs)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        policy = self.accelerator.unwrap_model(self.model if model is None else model)
        if isinstance(policy, PeftModel) and (Path(resume_from_checkpoint) / ADAPTER_FILE).is_file():
            # transformers looks only into sub-folders once there is one ("ref"), and leaves the root adapter out
            weights = load_peft_weights(resume_from_checkpoint, device="cpu")
            set_peft_model_state_dict(policy, weights, adapter_name=policy.active_adapter)
