"""``skinr1 merge --adapter runs/demo/grpo --output runs/demo/merged --image some.png``"""

from dataclasses import dataclass, field
from pathlib import Path

from skinr1 import config, prompts, vlm
from skinr1.images import load_image


@dataclass
class Arguments:
    """Merges in float32 and compares the logits of merged and unmerged on one image."""

    adapter: Path = field(metadata={"help": "Adapter folder."})
    output: Path = field(metadata={"help": "Folder of the merged model."})
    image: Path = field(metadata={"help": "Image of the comparison."})


def main(argv: list[str] | None = None) -> None:
    args = config.parse(Arguments, argv, "skinr1 merge")
    processor = vlm.processor_of(Path(vlm.existing(args.adapter)))
    text = processor.apply_chat_template(
        prompts.messages(prompts.REPORT_QUESTION, 1), tokenize=False, add_generation_prompt=True
    )
    probe = processor(text=[text], images=[load_image(args.image)], return_tensors="pt")
    difference = vlm.merge(args.adapter, args.output, dict(probe))
    print(f"merged into {args.output}; logits differ by at most {difference:.1e}")
