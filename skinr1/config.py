"""Configuration: dataclass defaults < YAML (``--config``) < command line, through TRL's parser.

An unknown key stops the run with one line that names the nearest key, or the successor of a removed one.
"""

import difflib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from trl import TrlParser

from skinr1.errors import UserError

T = TypeVar("T")

# Keys that public recipes still carry and that the pinned TRL and transformers no longer know.
REMOVED_KEYS = {
    "max_prompt_length": "prompts are never cut: overlong rows are filtered and listed, see max_prompt_tokens",
    "max_seq_length": "use max_length",
    "warmup_ratio": "use warmup_steps with a fraction below 1",
    "overwrite_output_dir": "give a new output_dir, or resume_from_checkpoint",
    "evaluation_strategy": "use eval_strategy",
    "torch_dtype": "use dtype",
    "logging_dir": "tensorboard writes below output_dir",
    "group_by_length": "use train_sampling_strategy",
    "save_safetensors": "safetensors is the only format",
    "no_cuda": "use use_cpu",
    "per_gpu_train_batch_size": "use per_device_train_batch_size",
    "half_precision_backend": "bf16 needs none",
    "use_liger": "use use_liger_kernel",
    "use_liger_loss": "use use_liger_kernel",
    "vllm_device": "use vllm_mode: colocate, or server with vllm_server_host",
    "vllm_dtype": "vLLM takes the policy's",
    "vllm_max_model_len": "use vllm_max_model_length",
    "vllm_guided_decoding_regex": "use vllm_structured_outputs_regex",
    "push_to_hub_model_id": "use hub_model_id",
    "jit_mode_eval": "use torch_compile",
}
# Keys of open-r1's, VLM-R1's and TRL's own scripts that have another name here, or none on purpose.
OTHER_KEYS = {
    "model_name_or_path": "use model",
    "model_revision": "give the folder of a downloaded model",
    "attn_implementation": "sdpa is used: a shared prefix is computed with it",
    "packed_tokens": "a batch is packed into one row",
    "dataset_name": "use train_file, rows that a builder wrote",
    "dataset_config": "use train_file, rows that a builder wrote",
    "dataset_train_split": "use train_file; validation_file for the other",
    "data_file_paths": "use train_file; image paths are relative to it",
    "image_folders": "image paths are relative to train_file",
    "image_root": "image paths are relative to train_file",
    "val_split_ratio": "the builder splits by patient; use validation_file",
    "system_prompt": "prompts are versioned in skinr1/prompts.py",
    "chat_template": "the processor's own is used",
    "reward_funcs": "use reward_preset, and rewards for weights by name",
    "reward_method": "use reward_preset, and rewards for weights by name",
    "use_peft": "use lora_rank; 0 trains all parameters",
    "lora_r": "use lora_rank",
    "lora_target_modules": "the language model's linear layers are adapted, the vision tower never",
    "lora_task_type": "it is always causal language modelling",
    "freeze_vision_modules": "with lora_rank above 0 the vision tower is frozen",
    "load_in_4bit": "not supported: an adapter is merged in float32",
    "load_in_8bit": "not supported: an adapter is merged in float32",
    "max_pixels": "use max_visual_tokens (SFT); the saved processor holds it from there on",
    "min_pixels": "the saved processor holds it",
}


class _Parser(TrlParser):
    """TRL's parser, whose complaint is one line instead of argparse's page of usage."""

    def error(self, message: str) -> NoReturn:
        raise UserError("configuration refused", message, "Correct it; --help lists the keys.")


def parse(dataclass_type: type[T], argv: Sequence[str] | None = None, prog: str = "") -> T:
    """One dataclass from defaults, YAML and command line; see :func:`parse_many`."""
    return parse_many((dataclass_type,), argv, prog)[0]


def parse_many(dataclass_types: Sequence[type], argv: Sequence[str] | None = None, prog: str = "") -> tuple[Any, ...]:
    """Fills the dataclasses, in the order given.

    Raises:
        UserError: the YAML is missing or no mapping, a key is unknown or was removed, or a value is refused.
    """
    args = [part for arg in (sys.argv[1:] if argv is None else argv) for part in _split_config(arg)]
    parser = _Parser(dataclass_types=list(dataclass_types), prog=prog or None, allow_abbrev=False)
    known = {action.dest for action in parser._actions}
    _check_yaml(args, known)
    try:
        *parsed, rest = parser.parse_args_and_config(args, return_remaining_strings=True)
    except (ValueError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError("configuration refused", str(error), "Correct the value.") from None
    if rest:
        raise _unknown_key(rest[0].lstrip("-").split("=")[0], "command line", known)
    _type_lists(parsed, parser)
    return tuple(parsed)


def _type_lists(parsed: Iterable[Any], parser: _Parser) -> None:
    """Lists from YAML get the type they have on the command line: argparse converts single defaults, no lists."""
    kinds = {action.dest: action.type for action in parser._actions if action.nargs in ("+", "*")}
    for settings in parsed:
        for name, kind in kinds.items():
            values = getattr(settings, name, None)
            if isinstance(values, list) and callable(kind):
                setattr(settings, name, [kind(value) if isinstance(value, str) else value for value in values])


def at_least(settings: Any, names: Iterable[str], least: int = 1) -> None:
    """Raises UserError for the first of the settings that is under ``least``."""
    for name in names:
        if getattr(settings, name) < least:
            raise UserError(f"{name} is under {least}", str(getattr(settings, name)), f"Give at least {least}.")


def run(main: Callable[[], None]) -> None:
    """Calls a program's ``main``; a :class:`UserError` becomes one line on standard error and exit code 2."""
    try:
        main()
    except UserError as error:
        if os.environ.get("RANK", "0") == "0":  # torchrun's; the other processes stop for the same reason
            print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _split_config(arg: str) -> list[str]:
    """TRL's parser knows ``--config x`` only; people also write ``--config=x``."""
    return arg.split("=", 1) if arg.startswith("--config=") else [arg]


def _check_yaml(args: list[str], known: set[str]) -> None:
    if "--config" not in args:
        return
    where = args.index("--config") + 1
    path = Path(args[where]) if where < len(args) else Path()
    if not path.is_file():
        raise UserError("config file not found", str(path), "Give a YAML file after --config.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"not YAML ({error})", str(path), "Correct the file.") from None
    if not isinstance(content, dict):
        raise UserError("not a mapping of keys to values", str(path), "Write `key: value` lines.")
    for key in content:
        if key not in known:
            raise _unknown_key(str(key), str(path), known)  # YAML reads `on:` and `1:` as no string


def _unknown_key(key: str, where: str, known: set[str]) -> UserError:
    if key in REMOVED_KEYS:
        return UserError(f"key {key!r} was removed", where, f"Instead: {REMOVED_KEYS[key]}.")
    if key in OTHER_KEYS:
        return UserError(f"key {key!r} is not known here", where, f"Instead: {OTHER_KEYS[key]}.")
    near = difflib.get_close_matches(key, sorted(known), n=1)
    return UserError(f"unknown key {key!r}", where, f"Did you mean {near[0]!r}?" if near else "Remove it.")
