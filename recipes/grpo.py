r"""GRPO with a hierarchy-aware reward, continuing the SFT adapter; the reference policy is the SFT model.

torchrun --nproc_per_node 8 recipes/grpo.py --config recipes/qwen2_5_vl_7b/grpo.yaml \
    --deepspeed recipes/deepspeed/zero2.json
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from skinr1 import config, vlm
from skinr1.errors import UserError
from skinr1.knowledge import Knowledge
from skinr1.rewards import PRESETS, Context, reward_functions
from skinr1.taxonomy import Taxonomy
from skinr1.training import callbacks, data
from skinr1.training.alarms import AlarmsCallback
from skinr1.training.grpo import GrpoConfig, SkinGRPOTrainer
from skinr1.training.run import begin, launch, train_and_save


@dataclass
class Arguments:
    """What is trained on what."""

    model: str = field(metadata={"help": "SFT adapter folder (continued), or a full model for GRPO without SFT."})
    train_file: Path = field(metadata={"help": "rl/train.jsonl: prompt, images, diagnoses, condition."})
    reward_preset: str = field(default="safe", metadata={"help": f"Rewards and weights: {', '.join(PRESETS)}."})
    rewards: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "name: weight, over the preset's; 0 is a metric; package.module.function adds."}
    )
    knowledge: Path | None = field(default=None, metadata={"help": "Knowledge folder, for the reward citations."})
    taxonomy: Path | None = field(default=None, metadata={"help": "Your own taxonomy YAML; default: the shipped one."})
    dtype: str = field(default="bfloat16", metadata={"help": "dtype of the base weights."})


def changes(rewards: dict[str, Any] | str | None, preset: str) -> dict[str, Any]:
    """What is laid over the preset; repetition is always told, if only as a metric: an alarm reads it.

    Raises:
        UserError: ``rewards`` is no mapping.
    """
    if isinstance(rewards, str):
        raise UserError("rewards is no mapping", rewards, "Write `name: weight` lines in YAML.")
    told = {} if "variety" in PRESETS.get(preset, {}) else {"variety": 0.0}
    return {**told, **(rewards or {})}


def main(argv: list[str] | None = None) -> None:
    script, lora, args = config.parse_many((Arguments, vlm.LoraArguments, GrpoConfig), argv, "grpo")
    adapter = vlm.lora_of(script.model) or lora
    begin(args, {**asdict(script), **asdict(adapter), **args.to_dict()})
    taxonomy = Taxonomy.load(script.taxonomy)
    processor = vlm.load_processor(script.model)
    columns = ("prompt", "images", "diagnoses", "condition", "case_id", *(args.group_columns or ()))
    rows = data.load_rows(script.train_file, columns, optional=("differential", "findings", "absent"))
    output = Path(args.output_dir)
    train = data.filter_long(rows, processor, args.max_prompt_tokens, output, args.process_index == 0)
    model = vlm.load_model(script.model, script.dtype, trainable=True)
    if lora.lora_rank and not isinstance(model, vlm.PeftModel):
        model = vlm.add_lora(model, lora)
    passages = Knowledge.load(script.knowledge).passages if script.knowledge else {}
    context = Context(taxonomy, {name: passage.diagnoses for name, passage in passages.items()})
    functions, args.reward_weights = reward_functions(
        script.reward_preset, context, changes(script.rewards, script.reward_preset)
    )
    weighted = dict(zip((function.__name__ for function in functions), args.reward_weights, strict=True))
    if weighted.get("citations") and not passages and args.process_index == 0:
        print("reward citations: no --knowledge is given, so no citation can be right and all answers earn 0 for it")
    trainer = SkinGRPOTrainer(
        model=model,
        args=args,
        train_dataset=train,
        processing_class=processor,
        reward_funcs=functions,
        callbacks=[callbacks.MetricsCallback(), callbacks.ProgressCallback("GRPO", "reward"), AlarmsCallback()],
    )
    train_and_save(trainer, processor, "grpo", [script.train_file], {"rows": len(train)})


if __name__ == "__main__":
    launch(main)
