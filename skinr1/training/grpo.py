"""GRPO: TRL's trainer in a few small overrides.

Four mend faults that were confirmed by running them:
1. Rollouts in vLLM: see :mod:`skinr1.training.vllm_rollouts`.
2. Sampling: a model that writes an image-pad token crashes the next forward pass.
3. Resume: with a continued adapter and beta > 0 the checkpoint's policy adapter is not loaded back, and in each process
   that starts, whatever its epoch, prompts come in the order of the first.
4. Dropout: old policy, policy and reference would each draw a mask of their own for the same tokens.
A fifth weighs advantages by skin tone or by source (:mod:`skinr1.training.group_weights`).
Two are faster with the same numbers: the completions of a prompt are scored behind one copy of it
(:mod:`skinr1.training.shared_prefix`), and sampled from one prefill of it (:mod:`skinr1.training.rollouts`).
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import skinr1.torchvision_shim  # noqa: F401  (peft and processors import torchvision)
from skinr1.errors import UserError
from skinr1.training import rollouts, shared_prefix, vllm_rollouts
from skinr1.training.group_weights import GroupWeights, group_of, shares
from skinr1.training.timing import StepTimes
from skinr1.weights import ADAPTER_CONFIG

import torch  # isort: skip
from accelerate.utils import gather_object  # isort: skip
from peft import PeftModel, set_peft_model_state_dict  # isort: skip
from peft.utils import load_peft_weights  # isort: skip
from transformers import ProcessorMixin  # isort: skip
from trl import GRPOConfig, GRPOTrainer  # isort: skip
from trl.trainer.utils import RepeatSampler  # isort: skip


@dataclass
class GrpoConfig(GRPOConfig):
    """TRL's GRPOConfig plus a prompt filter; prompts are never cut."""

    max_prompt_tokens: int | None = field(
        default=2048, metadata={"help": "Longer prompts are left out and listed in filtered.jsonl."}
    )
    shared_prefix: bool = field(
        default=True, metadata={"help": "Sample and score all completions of a prompt behind one copy of it."}
    )
    group_columns: list[str] | None = field(
        default=None,
        metadata={"help": "Columns that make groups (skin_tone, source): those that earn less weigh more (group DRO)."},
    )
    group_rate: float = field(default=0.1, metadata={"help": "Step of group DRO; 0: equal weight a group."})
    group_floor: float = field(default=0.2, metadata={"help": "Least weight of a group, as a share of equal weight."})
    disable_dropout: bool = field(
        default=True, metadata={"help": "No dropout in policy and reference: the same tokens, the same probability."}
    )
    disable_tqdm: bool | None = field(default=True, metadata={"help": "The stage has its own progress bar."})


class EpochSampler(RepeatSampler):
    """TRL's sampler, whose order depends on seed and epoch alone, and so is the same after a resumption."""

    def set_epoch(self, epoch: int) -> None:
        if self.shuffle:
            self.generator.manual_seed(self.seed + epoch)


def forbidden_tokens(processor: ProcessorMixin) -> list[int]:
    """Special tokens that no answer may contain: all but the end tokens."""
    tokenizer = processor.tokenizer
    allowed = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    return sorted(
        token for token in tokenizer.added_tokens_decoder if token not in allowed and _is_marker(tokenizer, token)
    )


def barring(tokens: list[int], use_vllm: bool) -> dict[str, Any]:
    """The sampling option that no answer may hold these tokens: vLLM's, with keys of its own type, or transformers'."""
    return {"logit_bias": dict.fromkeys(tokens, -100.0)} if use_vllm else {"suppress_tokens": tokens}


def _is_marker(tokenizer: Any, token: int) -> bool:
    text = tokenizer.added_tokens_decoder[token].content
    return text.startswith("<|") and text.endswith("|>")


def _check_window(args: GrpoConfig) -> None:
    """Raises UserError where checkpoints would fall between the updates of one generation, which they do not hold."""
    window, micro = args.steps_per_generation * args.num_iterations, args.gradient_accumulation_steps
    if args.save_strategy == "steps" and window > micro and (args.save_steps * micro) % window:
        raise UserError(
            f"save_steps {args.save_steps:g} cuts through updates that share their completions",
            "a resumed run would sample them anew",
            f"Give a multiple of {math.lcm(window, micro) // micro}.",
        )


class SkinGRPOTrainer(GRPOTrainer):
    """TRL's GRPOTrainer for Qwen-VL policies with a continued adapter. Arguments as for the parent."""

    def __init__(self, model: Any, *, args: GrpoConfig, processing_class: ProcessorMixin, **kwargs: Any):
        forbidden = forbidden_tokens(processing_class)
        args.generation_kwargs = {**barring(forbidden, args.use_vllm), **(args.generation_kwargs or {})}
        _check_window(args)
        super().__init__(model=model, args=args, processing_class=processing_class, **kwargs)
        if self.use_vllm and self._image_pad_token_id is not None:
            vllm_rollouts.mend(self.vllm_generation, self._image_pad_token_id)
        self.times = StepTimes()
        if args.shared_prefix and not args.use_vllm:
            self.model.generate = rollouts.share_prompts(self.model, merge=not (args.bf16 or args.fp16))
        self.groups: GroupWeights | None = None
        if args.group_columns:
            share = shares(self.train_dataset.select_columns(args.group_columns), args.group_columns)
            self.groups = GroupWeights(share, args.group_rate, args.group_floor)

    def _get_train_sampler(self, dataset: Any = None) -> EpochSampler:
        made = super()._get_train_sampler(dataset)
        counts = (made.mini_repeat_count, made.batch_size, made.repeat_count)
        return EpochSampler(made.data_source, *counts, made.shuffle, made.seed)

    def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
        with self.times.measure("rollout"):
            return super()._generate_single_turn(prompt_ids, *args, **kwargs)

    def _calculate_rewards(self, inputs: Any, *args: Any) -> torch.Tensor:
        with self.times.measure("reward"):
            rewards = super()._calculate_rewards(inputs, *args)  # [samples of all processes, functions]
        if not self.model.training:
            return rewards
        totals = (rewards * self.reward_weights.to(rewards.device)).nansum(dim=1)
        totals[rewards.isnan().all(dim=1)] = torch.nan  # as TRL: judged by none
        # TRL's frac_reward_zero_std looks at the whole batch where rewards are scaled by it
        same = totals.view(-1, self.num_generations).std(dim=1) < 1e-6
        self._metrics["train"]["groups_without_difference"].append(same.float().mean().item())
        if self.groups:
            groups = gather_object([group_of(row, self.args.group_columns) for row in inputs])
            self.groups.observe(groups, totals.tolist(), float(self.reward_weights.clamp(min=0).sum()))
            for group, weight in self.groups.weights.items():
                self._metrics["train"][f"group_weight/{group}"].append(weight)
        return rewards

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        with self.times.measure("prepare"):
            batch = super()._generate_and_score_completions(inputs)
        if self.groups and self.model.training:
            factors = [self.groups.of(group_of(row, self.args.group_columns)) for row in inputs]
            batch["advantages"] = batch["advantages"] * batch["advantages"].new_tensor(factors)
        return batch

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The parent's, with its seconds by part as metrics ``time/rollout``, ``reward``, ``score`` and ``update``."""
        with self.times.measure("step"):
            loss = super().training_step(*args, **kwargs)
        if not self.accelerator.sync_gradients:  # a step has several of these where gradients are accumulated
            return loss
        for part, seconds in self.times.split().items():
            self._metrics["train"][f"time/{part}"].append(seconds)
        return loss

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **images: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Log-probabilities and entropies [B, C] of the completion tokens: policy, old policy and reference alike.

        Raises:
            UserError: a model that is no Qwen-VL, or a mixture of experts (its balancing loss counts tokens).
        """
        if not self.args.shared_prefix:
            flags = (batch_size, compute_entropy, compute_aux_loss)
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, *flags, **images
            )
        given = {name: value for name, value in images.items() if value is not None}
        foreign = sorted(given.keys() - {"pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids"})
        if foreign or compute_aux_loss:
            what = ", ".join(foreign) or "the balancing loss of experts"
            raise UserError(f"shared_prefix does not know {what}", "GRPO", "Set shared_prefix: false for this model.")
        batch = shared_prefix.Batch(input_ids, attention_mask, logits_to_keep, **given)
        step = batch_size or input_ids.size(0)
        logps, entropies = [], []
        # the same samples in each pass as TRL takes, so that all ranks make the same number of passes (ZeRO-3)
        for start in range(0, input_ids.size(0), step):
            part = batch.rows(start, min(start + step, input_ids.size(0)))
            packed = shared_prefix.pack(part, model)
            with self.accelerator.autocast():
                outputs = model(**packed.inputs, shift_labels=packed.labels, fused_lm_head=True)
            logps.append(packed.unpack(outputs.log_probs))
            if compute_entropy:
                entropies.append(packed.unpack(outputs.entropy))
        return torch.cat(logps), torch.cat(entropies) if compute_entropy else None, None

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if self.groups and self.args.should_save:  # first: trainer_state.json closes a checkpoint
            self.groups.save(Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}")
        super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        # TRL counts from 0 in each process; so the updates that share completions go on where they stopped
        self._step = self.state.global_step * self.args.gradient_accumulation_steps
        if self.groups and checkpoint:  # here: DeepSpeed's checkpoints do not pass _load_from_checkpoint
            self.groups.load(Path(checkpoint))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        policy = self.accelerator.unwrap_model(self.model if model is None else model)
        if isinstance(policy, PeftModel) and (Path(resume_from_checkpoint) / ADAPTER_CONFIG).is_file():
            # transformers looks only into sub-folders once there is one ("ref"), and leaves the root adapter out
            weights = load_peft_weights(resume_from_checkpoint, device="cpu")
            set_peft_model_state_dict(policy, weights, adapter_name=policy.active_adapter)
