"""What TRL's rollouts in vLLM need to sample from the policy that is trained, with the images that it sees.

1. On the trainer's GPUs (colocate) TRL sends prompts whose image placeholder is already expanded, and vLLM expands it
   again; a server is given the expanded prompt and told where the images lie in it, which is right.
2. vLLM resizes images by the base's processor. Where that makes another number of tokens, the run ends.
3. TRL adds the adapter to the weights at each sync and subtracts it again. In 16 bits rounding stays behind each time,
   and the base drifts away below an adapter that is trained, saved and compared with the reference on top of it.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor

from skinr1.errors import UserError

FIX = "Start from a merged model (skinr1 merge): its folder holds the image budget that vLLM then reads."


def mend(generation: Any, image_pad: int) -> None:
    """Puts the three cures into TRL's ``VLLMGeneration``."""
    if generation.mode == "colocate":
        generation.generate = expanding_once(generation.generate, image_pad)
    else:
        generation._place_features = placing_the_same(generation._place_features)
    if isinstance(generation.model, PeftModel):
        _check_plain(generation)
        generation._iter_named_params = lambda: merged_weights(generation)


def _check_plain(generation: Any) -> None:
    """Raises UserError for what :func:`merged_weights` would leave out: it knows LoRA on linear layers, and no FSDP."""
    configs = generation.model.peft_config.values()
    plain = all(one.peft_type == "LORA" and not one.use_dora and one.bias == "none" for one in configs)
    embedded = any(getattr(module, "lora_embedding_A", None) for module in generation.model.modules())
    if not plain or embedded or generation._dist.is_fsdp:
        raise UserError("adapter is no plain LoRA, or the model lies under FSDP", "rollouts in vLLM", "Merge it first.")


def collapse_pads(ids: Sequence[int], image_pad: int) -> list[int]:
    """Each run of image pads becomes one pad: the form vLLM expands by itself."""
    return [token for token, run in groupby(ids) for _ in range(1 if token == image_pad else len(list(run)))]


def expanding_once(generate: Callable[..., Any], image_pad: int) -> Callable[..., Any]:
    """``generate`` of expanded prompts, which vLLM must expand in the same way.

    Raises:
        UserError: a prompt of vLLM's is not the trainer's.
    """

    def generate_once(prompts: Sequence[Sequence[int]], **rest: Any) -> Any:
        made = generate(prompts=[collapse_pads(ids, image_pad) for ids in prompts], **rest)
        for ours, theirs in zip(prompts, made[0], strict=True):
            if list(ours) != list(theirs):
                counts = [ids.count(image_pad) for ids in (list(ours), list(theirs))]
                raise UserError(f"vLLM sees {counts[1]} image tokens, the trainer {counts[0]}", "rollouts", FIX)
        return made

    return generate_once


def placing_the_same(place: Callable[..., Any]) -> Callable[..., Any]:
    """``_place_features``, which says where the server's images lie in the trainer's prompt.

    Raises:
        UserError: the server made another number of tokens of an image than the prompt has room for.
    """

    def place_features(features: dict[str, Any] | None, prompt_ids: list[int]) -> Any:
        placed = place(features, prompt_ids)
        if features is not None:
            theirs, ours = (
                [int(spot["length"]) for spot in found["mm_placeholders"]["image"]] for found in (features, placed)
            )
            if ours != theirs:
                raise UserError(f"vLLM sees {theirs} image tokens, the trainer {ours}", "rollouts", FIX)
        return placed

    return place_features


def merged_weights(generation: Any) -> Iterator[tuple[str, Tensor]]:
    """Name (as vLLM has it) and value of each weight with the adapter merged, one at a time; the policy is not touched.

    As TRL's ``_iter_named_params``, every process must go through all of it: under ZeRO-3 the weights are gathered.
    """
    model: PeftModel = generation.model
    layers = dict(model.named_modules())
    with generation._dist.gather_params(list(model.parameters())):
        for name, parameter in model.named_parameters():
            if model.prefix in name or "original_module" in name:
                continue
            value = parameter.data
            layer = layers.get(name.removesuffix(".base_layer.weight"))
            if isinstance(layer, LoraLayer):
                for adapter in layer.active_adapters:
                    if adapter in layer.lora_A:
                        value = (value + layer.get_delta_weight(adapter).detach()).to(value.dtype)
            plain = name.removeprefix("base_model.model.").replace(".base_layer", "")
            yield generation._fix_param_name_to_vllm(plain, extra_prefixes=["modules_to_save.default."]), value
