"""The embedded model's "pretraining": it learns to see signs and to know the language, but not to diagnose.

python recipes/pretrain.py --config recipes/tiny/pretrain.yaml

Stands for what a real run downloads. Training data: label-free captions of images; textbook passages and paths of the
taxonomy; and short fragments of the trajectories' text, without their images, so that it knows the words that SFT puts
together.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, concatenate_datasets

from skinr1 import config, prompts, tiny
from skinr1.stage import read_jsonl
from skinr1.training import callbacks, data
from skinr1.training.run import begin, launch, train_and_save
from skinr1.training.sft import VisionRowsConfig

from transformers import Trainer  # isort: skip  (after skinr1.tiny, which makes torchvision importable)
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling  # isort: skip


@dataclass
class Arguments:
    """What is trained on what."""

    train_file: Path = field(metadata={"help": "captions/train.jsonl: prompt, completion, images."})
    language_files: list[Path] = field(
        default_factory=list, metadata={"help": "Rows whose answers are read as text, in fragments and without images."}
    )
    fragment_tokens: int = field(default=48, metadata={"help": "Length of a fragment."})
    family: str = field(default="qwen2_5_vl", metadata={"help": "qwen2_5_vl or qwen3_vl."})


def texts(path: Path) -> list[str]:
    """Every text of the rows' completions."""
    return [part["text"] for row in read_jsonl(path) for turn in row["completion"] for part in turn["content"]]


def fragments(answers: list[str], tokenizer: Any, length: int, columns: Features) -> Dataset:
    """Text-only rows of consecutive tokens of the answers.

    They stand for the general language of a real base model: it knows JSON and the words of a report. No fragment
    begins where an answer begins and none has an image, so it learns neither to write a report nor to diagnose.
    """
    rows = []
    for answer in answers:
        ids = tokenizer(answer, add_special_tokens=False)["input_ids"][1:]
        for start in range(0, len(ids) - length // 2, length):
            text = tokenizer.decode(ids[start : start + length])
            reply = [{"role": "assistant", "content": [{"type": "text", "text": text}]}]
            rows.append({"prompt": prompts.messages("Go on.", 0, None), "completion": reply, "images": []})
    return Dataset.from_list(rows, features=columns)


def main(argv: list[str] | None = None) -> None:
    script, size, args = config.parse_many((Arguments, tiny.TinySize, VisionRowsConfig), argv, "pretrain")
    begin(args, {**asdict(script), **asdict(size), **args.to_dict()})
    asked = ["system", "user", "assistant", "Go on.", prompts.SYSTEM, prompts.REPORT_QUESTION, prompts.CAPTION_QUESTION]
    # a prompt is one text among thousands of rows; repeated, it becomes few tokens
    corpus = asked * 100 + [text for path in (script.train_file, *script.language_files) for text in texts(path)]
    tokenizer = tiny.train_tokenizer(corpus, size.vocabulary)
    processor = tiny.build_processor(tokenizer, size.max_pixels, script.family)
    model = tiny.build_model(tokenizer, size, script.family)
    rows = data.load_rows(script.train_file, ("prompt", "completion", "images"))
    language = [text for path in script.language_files for text in texts(path)]
    if language:
        rows = concatenate_datasets([rows, fragments(language, tokenizer, script.fragment_tokens, rows.features)])
    train = data.filter_long(rows, processor, args.max_row_tokens, Path(args.output_dir), args.process_index == 0)
    # the plain trainer: TRL's fused loss saves memory that a model of this size does not need, at a third of the time
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=train,
        data_collator=DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True),
        processing_class=processor,
        callbacks=[callbacks.MetricsCallback(), callbacks.ProgressCallback("pretraining", "loss")],
    )
    inputs = [script.train_file, *script.language_files]
    train_and_save(trainer, processor, "pretrain", inputs, {"rows": len(train)})


if __name__ == "__main__":
    launch(main)
