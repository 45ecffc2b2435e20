"""The embedded model: a real Qwen2.5-VL (or Qwen3-VL) of about 5 M parameters, and its tokenizer and processor.

It has the architecture, the chat template and the processor of the real family, so that every stage that runs
on it runs on the real one. Its tokenizer is byte-level BPE whose pieces may span whole phrases
(``sharp border`` is one token): answers are several times shorter, which is what makes a demonstration on two
cores affordable. Nothing is downloaded.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import skinr1.torchvision_shim  # noqa: F401  (processors import torchvision)

from transformers import (  # isort: skip
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] in ('image', 'image_url') %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# One piece: a think tag; a citation; a level of a path; a JSON key with the punctuation around it; a number; a phrase,
# in a list with the separator behind it; other signs.
PIECES = (
    r"</?think>"
    r"|[a-z0-9_.-]+:[a-z0-9-]+#[a-z]+"
    r"|[a-z_]+/"
    r'|[^A-Za-z0-9<]*"[a-z_]+":[\[{"]*'
    r"|[0-9]+(?:\.[0-9]+)?"
    r'|[A-Za-z]+(?:[ _-][A-Za-z]+)*(?:","(?=[^"]*"[,\]]))?'
    r"|[^A-Za-z0-9<]+|<"
)


@dataclass
class TinySize:
    """Shape of the embedded model; the defaults give about 5 M parameters."""

    hidden: int = 192
    intermediate: int = 512
    layers: int = 4
    heads: int = 6
    vision_hidden: int = 128
    vision_layers: int = 4
    vocabulary: int = 3000
    max_pixels: int = 112 * 112


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE over phrase pieces, with Qwen's special tokens and chat markers."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL[1:],
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def build_processor(tokenizer: PreTrainedTokenizerFast, max_pixels: int, family: str = "qwen2_5_vl") -> ProcessorMixin:
    """Processor whose pixel budget is saved with the model, so that training and serving see the same image."""
    side = 28 if family == "qwen2_5_vl" else 32
    image_options = {
        "min_pixels": side * side,
        "max_pixels": max_pixels,
        "patch_size": side // 2,
        "temporal_patch_size": 2,
        "merge_size": 2,
    }
    if family == "qwen2_5_vl":
        return Qwen2_5_VLProcessor(
            Qwen2VLImageProcessor(**image_options),
            tokenizer,
            Qwen2VLVideoProcessor(),
            chat_template=CHAT_TEMPLATE,
        )
    return Qwen3VLProcessor(
        Qwen2VLImageProcessor(**image_options),
        tokenizer,
        Qwen3VLVideoProcessor(),
        chat_template=CHAT_TEMPLATE,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, size: TinySize, family: str = "qwen2_5_vl") -> PreTrainedModel:
    """Randomly initialised model; seed torch before the call."""
    token = tokenizer.convert_tokens_to_ids
    head_dim = size.hidden // size.heads
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": size.hidden,
        "intermediate_size": size.intermediate,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.heads // 2,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "bos_token_id": token("<|endoftext|>"),
        "eos_token_id": token("<|im_end|>"),
        "pad_token_id": token("<|endoftext|>"),
    }
    # M-RoPE splits half of the head dimension into time, height and width.
    half = head_dim // 2
    section = [half - 2 * (half * 3 // 8), half * 3 // 8, half * 3 // 8]
    vision: dict[str, Any] = {
        "depth": size.vision_layers,
        "hidden_size": size.vision_hidden,
        "intermediate_size": size.intermediate,
        "num_heads": size.vision_hidden // 32,
        "out_hidden_size": size.hidden,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    ids = {
        "image_token_id": token("<|image_pad|>"),
        "video_token_id": token("<|video_pad|>"),
        "vision_start_token_id": token("<|vision_start|>"),
        "vision_end_token_id": token("<|vision_end|>"),
        "tie_word_embeddings": False,
    }
    if family == "qwen2_5_vl":
        rope = {"rope_type": "default", "mrope_section": section, "rope_theta": 10_000.0}
        vision |= {"patch_size": 14, "window_size": 112, "fullatt_block_indexes": list(range(size.vision_layers))}
        config = Qwen2_5_VLConfig(text_config={**text, "rope_parameters": rope}, vision_config=vision, **ids)
        model: PreTrainedModel = Qwen2_5_VLForConditionalGeneration(config)
    else:
        rope = {"rope_type": "default", "mrope_section": section, "mrope_interleaved": True, "rope_theta": 10_000.0}
        vision |= {
            "patch_size": 16,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": list(range(min(3, size.vision_layers))),
        }
        qwen3 = Qwen3VLConfig(
            text_config={**text, "head_dim": head_dim, "rope_parameters": rope}, vision_config=vision, **ids
        )
        model = Qwen3VLForConditionalGeneration(qwen3)
    # Tokens that pretraining never sees keep these rows, and an adapter cannot grow them: at the usual scale of 0.02
    # no logit could stand out from the others, so no adapter could ever be sure of such a token.
    for rows in (model.get_input_embeddings(), model.get_output_embeddings()):
        torch.nn.init.normal_(rows.weight, std=size.hidden**-0.5)
    model.generation_config.eos_token_id = [token("<|im_end|>"), token("<|endoftext|>")]
    model.generation_config.pad_token_id = token("<|endoftext|>")
    return model.to(torch.float32)


def save(model: PreTrainedModel, processor: ProcessorMixin, folder: Path) -> None:
    """Model (safetensors), processor and tokenizer in one folder, as vLLM expects them."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
