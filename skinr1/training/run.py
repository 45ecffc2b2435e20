"""What every training run does around its trainer: refuse a foreign folder, resume, save, close with a manifest."""

import gc
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

# Four modules keep the group of the moment they are imported in, as a default argument: here there is none yet.
import deepspeed.comm
import torch
import torch.distributed.fsdp
import torch.distributed.nn
import torch.distributed.optim
from transformers import PrinterCallback, ProcessorMixin, Trainer, TrainingArguments, set_seed

from skinr1 import config
from skinr1.errors import UserError
from skinr1.stage import MANIFEST, file_hash, read_manifest, write_atomic, write_manifest
from skinr1.training.callbacks import EpochCallback
from skinr1.training.stopping import StopOnTerm

CONFIG = "run_config.json"
# Where a run is, how it is shown and saved, and where vLLM is may change between attempts; what it computes may not.
# How long it goes on decides the learning rate, and so what it computes.
_FREE_KEYS = (
    *("output_dir", "resume_from_checkpoint", "save_", "logging_", "report_to", "log_", "disable_tqdm", "run_name"),
    *("dataloader_num", "local_rank", "vllm_server_", "vllm_group_port", "vllm_gpu_memory_utilization"),
)


def launch(main: Callable[[], None]) -> None:
    """Runs a recipe as a program, then ends the process group and the threads of gloo with it.

    A thread of gloo that lets go of a tensor while the interpreter ends aborts the process (pytorch issue 190489). The
    group lives for as long as a wrapped model knows it, so all that the recipe made goes first. (DeepSpeed's engine
    stays: its own hooks hold it.)
    """
    config.run(main)
    gc.collect()
    if deepspeed.comm.is_initialized():
        deepspeed.comm.destroy_process_group()  # its own copies of the group, too
    elif torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def begin(args: TrainingArguments, settings: Mapping[str, Any]) -> None:
    """Claims the folder, then seeds and makes the process group; all before a model is loaded.

    A fresh adapter is drawn at random before the trainer would seed, and under ZeRO-3 loading already splits the model
    over the group.

    Raises:
        UserError: the folder holds a finished run, or one with another configuration.
    """
    claim(args, settings)
    set_seed(args.seed)
    _ = args.device  # makes torch's group
    if args.deepspeed:
        deepspeed.comm.init_distributed(dist_backend=torch.distributed.get_backend())  # joins it


def claim(args: TrainingArguments, settings: Mapping[str, Any]) -> None:
    """Records the configuration, or compares it with the recorded one; touches nothing else.

    Raises:
        UserError: the folder holds a finished run, or one with another configuration.
    """
    output = Path(args.output_dir)
    if (output / MANIFEST).is_file():
        raise UserError("folder holds a finished run", str(output), "Give a new output_dir or delete this one.")
    recorded = output / CONFIG
    compared = {key: value for key, value in sorted(settings.items()) if not key.startswith(_FREE_KEYS)}
    compared["world_size"] = args.world_size
    named = {key: value for key, value in compared.items() if isinstance(value, Path) or key in ("model", "deepspeed")}
    places = {key: value for key, value in named.items() if value}
    compared |= {f"content of {key}": found for key, place in places.items() if (found := _content(Path(place)))}
    text = json.dumps(compared, indent=2, sort_keys=True, default=str) + "\n"
    if recorded.exists():
        before = json.loads(recorded.read_text(encoding="utf-8"))
        now = json.loads(text)
        changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if changed:
            raise UserError(
                f"folder holds a run with another {changed[0]}",
                str(output),
                "Give a new output_dir or delete this one.",
            )
    elif args.process_index == 0:
        write_atomic(recorded, text)


def _content(path: Path) -> str | None:
    """Hash of a file, or of what made a folder; None of what is neither, a model's name on a hub among it."""
    path = path / MANIFEST if path.is_dir() else path
    return file_hash(path) if path.is_file() else None


def last_checkpoint(output: Path, world_size: int) -> Path | None:
    """The newest complete checkpoint of ``world_size`` processes; one that a kill cut short is passed over."""
    complete = [path for path in output.glob("checkpoint-*") if _is_complete(path, world_size)]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _is_complete(checkpoint: Path, world_size: int) -> bool:
    """Whether all files are there and whole.

    The first process writes ``trainer_state.json`` last, but does not wait for the random states of the others, and
    transformers goes on without a word where one is missing.
    """
    names = [f"rng_state_{rank}.pth" for rank in range(world_size)] if world_size > 1 else ["rng_state.pth"]
    if not all(is_zipfile(checkpoint / name) for name in names):  # a zip's directory is at its end
        return False
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return True


def train_and_save(
    trainer: Trainer,
    processor: ProcessorMixin,
    stage: str,
    inputs: list[Path],
    counts: Mapping[str, int],
) -> None:
    """Trains (resuming where a checkpoint exists), saves model and processor, and writes the manifest.

    SIGTERM ends it early with a checkpoint, and nothing else is written.

    The manifest carries the licences, remarks ("rendered, not clinical") and tree of the first input's stage along.
    """
    args = trainer.args
    trainer.remove_callback(PrinterCallback)  # it prints every log; the bar and metrics.jsonl say the same
    checkpoint = last_checkpoint(Path(args.output_dir), args.world_size)
    trainer.accelerator.wait_for_everyone()
    stopping = StopOnTerm()
    trainer.add_callback(stopping)
    trainer.add_callback(EpochCallback())
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if stopping.stopped:
        if trainer.is_world_process_zero():
            print(f"stopped by SIGTERM at step {trainer.state.global_step}: run the same command to go on from there")
        trainer.accelerator.wait_for_everyone()
        return
    trainer.save_model(args.output_dir)
    if trainer.is_world_process_zero():
        output = Path(args.output_dir)
        processor.save_pretrained(output)
        (output / "training_args.bin").unlink()  # a pickle; run_config.json says the same
        weights = {path.name: file_hash(path) for path in sorted(output.glob("*.safetensors"))}
        data = inputs[0].parent
        made_from = read_manifest(data) if (data / MANIFEST).is_file() else {}
        write_manifest(
            output,
            stage,
            config={"steps": trainer.state.global_step, "world_size": args.world_size, "weights": weights},
            inputs=inputs,
            seed=args.seed,
            counts=counts,
            licences=made_from.get("licences"),
            taxonomy_hash=made_from.get("taxonomy"),
            notes=made_from.get("notes", ()),
        )
    trainer.accelerator.wait_for_everyone()
