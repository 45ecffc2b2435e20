r"""Supervised fine-tuning on dense trajectories.

torchrun --nproc_per_node 8 recipes/sft.py --config recipes/qwen2_5_vl_7b/sft.yaml \
    --deepspeed recipes/deepspeed/zero2.json
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from skinr1 import config, vlm
from skinr1.training import callbacks, data
from skinr1.training.run import begin, launch, train_and_save
from skinr1.training.sft import SftConfig, SkinSFTTrainer


@dataclass
class Arguments:
    """What is trained on what."""

    model: str = field(metadata={"help": "Base model folder, or its hub name."})
    train_file: Path = field(metadata={"help": "trajectories/train.jsonl: prompt, completion, images."})
    validation_file: Path | None = field(default=None, metadata={"help": "Same columns; evaluated with eval_strategy."})
    dtype: str = field(default="bfloat16", metadata={"help": "dtype of the base weights."})
    max_visual_tokens: int | None = field(default=None, metadata={"help": "Budget an image; default: as saved."})


def main(argv: list[str] | None = None) -> None:
    script, lora, args = config.parse_many((Arguments, vlm.LoraArguments, SftConfig), argv, "sft")
    begin(args, {**asdict(script), **asdict(lora), **args.to_dict()})
    processor = vlm.load_processor(script.model)
    if script.max_visual_tokens:
        vlm.set_pixel_budget(processor, script.max_visual_tokens)
    columns = ("prompt", "completion", "images")
    output = Path(args.output_dir)
    rows = data.load_rows(script.train_file, columns)
    kept = processor, args.max_row_tokens, output, args.process_index == 0
    train, validation, inputs = data.filter_long(rows, *kept), None, [script.train_file]
    if script.validation_file:
        held_out = data.load_rows(script.validation_file, columns)
        validation = data.filter_long(held_out, *kept, listed=f"validation_{data.FILTERED}")
        inputs.append(script.validation_file)
    model = vlm.load_model(script.model, script.dtype)
    if lora.lora_rank:
        model = vlm.add_lora(model, lora)
    trainer = SkinSFTTrainer(
        model=model,
        args=args,
        train_dataset=train,
        eval_dataset=validation,
        processing_class=processor,
        callbacks=[callbacks.MetricsCallback(), callbacks.ProgressCallback("SFT", "loss")],
    )
    train_and_save(trainer, processor, "sft", inputs, {"rows": len(train)})


if __name__ == "__main__":
    launch(main)
