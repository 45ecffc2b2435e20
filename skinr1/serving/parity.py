"""``skinr1 parity``: do transformers and a running vLLM read the same prompt and write the same answer?

Training sees an image through the saved processor, serving through vLLM's. The two are compared token by token: the
prompt with its image placeholders, and the greedy answer.
"""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from skinr1 import config, prompts
from skinr1.errors import UserError
from skinr1.images import load_image, png_bytes
from skinr1.progress import progress_bar
from skinr1.serving.client import IMAGE_TOKENS, with_images

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})


@dataclass
class Arguments:
    """The same model twice: its folder for transformers, its server for vLLM."""

    model: Path = field(metadata={"help": "Folder of the model or adapter, as trained."})
    images: Path = field(metadata={"help": "Folder of images; the first ones by name are taken, subfolders too."})
    url: str = field(default="http://127.0.0.1:8000/v1", metadata={"help": "Server, ending in /v1."})
    served: str | None = field(default=None, metadata={"help": "Served name; default: the server's last."})
    count: int = field(default=50, metadata={"help": "Images."})
    tokens: int = field(default=64, metadata={"help": "Length of the answers that are compared."})
    tie: float = field(default=1e-3, metadata={"help": "Two best logits nearer than this may swap: rounding."})


@dataclass(frozen=True)
class Answered:
    """Token ids of a prompt and of its greedy answer; ``margins`` between the two best logits at each step."""

    prompt: list[int]
    answer: list[int]
    margins: list[float] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a table; exit code 1 when a prompt or an answer differs."""
    args = config.parse(Arguments, argv, "skinr1 parity")
    paths = sorted(path for path in args.images.rglob("*") if path.suffix.lower() in SUFFIXES)[: args.count]
    if len(paths) < args.count:
        raise UserError(f"{len(paths)} images, not {args.count}", str(args.images), "Give more, or lower --count.")
    pictures = [png_bytes(load_image(path)) for path in paths]
    served = asyncio.run(_ask_vllm(args, pictures))
    pairs = list(zip(served, _ask_transformers(args, paths), strict=True))
    table = Table("compared", "images", "equal", "equal but for ties")
    table.add_row("prompt token ids", str(len(pairs)), str(sum(a.prompt == b.prompt for a, b in pairs)), "")
    exact = sum(a.answer == b.answer for a, b in pairs)
    near = sum(same_but_for_ties(a.answer, b, args.tie) for a, b in pairs)
    table.add_row(f"greedy answer, {args.tokens} tokens", str(len(pairs)), str(exact), str(near))
    Console().print(table)
    for path, (vllm, local) in zip(paths, pairs, strict=True):
        if difference := differs(vllm, local, args.tie):
            print(f"{path}: {difference}")
    if near < len(pairs) or any(a.prompt != b.prompt for a, b in pairs):
        sys.exit(1)


def differs(vllm: Answered, local: Answered, tie: float) -> str | None:
    """How the two differ, in words; None when they do not."""
    if vllm.prompt != local.prompt:
        return f"prompt of {len(vllm.prompt)} tokens in vLLM, {len(local.prompt)} in transformers"
    if same_but_for_ties(vllm.answer, local, tie):
        return None
    both = enumerate(zip(vllm.answer, local.answer, strict=False))
    place = next((step for step, (one, other) in both if one != other), None)
    if place is None:
        return f"answers of {len(vllm.answer)} and {len(local.answer)} tokens"
    return f"answers part at token {place}, where the best logit leads by {local.margins[place]:.2g}"


def same_but_for_ties(answer: Sequence[int], local: Answered, tie: float) -> bool:
    """Whether two greedy answers are equal up to a step where the two best logits were nearly equal."""
    for step, (one, other) in enumerate(zip(answer, local.answer, strict=False)):
        if one != other:
            return local.margins[step] < tie
    return len(answer) == len(local.answer)


async def _ask_vllm(args: Arguments, pictures: Sequence[bytes]) -> list[Answered]:
    slots = asyncio.Semaphore(8)
    async with httpx.AsyncClient(timeout=600, trust_env=False) as client:
        try:
            models = (await client.get(f"{args.url}/models")).raise_for_status().json()["data"]
            banned = await _placeholders(client, args.url, args.served or models[-1]["id"])
        except httpx.HTTPError as error:
            raise UserError(f"server does not answer ({type(error).__name__})", args.url, "Start it.") from None

        async def one(picture: bytes) -> Answered:
            body: dict[str, Any] = {
                "model": args.served or models[-1]["id"],
                "messages": with_images(prompts.messages(prompts.REPORT_QUESTION, 1), [picture]),
                "max_tokens": args.tokens,
                "temperature": 0.0,
                "return_token_ids": True,
                "logit_bias": {str(token): -100 for token in banned},
            }
            async with slots:
                response = await client.post(f"{args.url}/chat/completions", json=body)
            if response.status_code != 200:
                raise UserError(f"server answered {response.status_code}", args.url, response.text[:200])
            found = response.json()
            return Answered(found["prompt_token_ids"], found["choices"][0]["token_ids"])

        with progress_bar() as bar:
            task = bar.add_task("vLLM", total=len(pictures))
            jobs = [asyncio.create_task(one(picture)) for picture in pictures]
            for job in jobs:
                job.add_done_callback(lambda _: bar.advance(task))
            return list(await asyncio.gather(*jobs))


async def _placeholders(client: httpx.AsyncClient, url: str, model: str) -> list[int]:
    """Ids of the image placeholder tokens, which neither side may write."""
    found = []
    for token in IMAGE_TOKENS:
        body = {"model": model, "prompt": token, "add_special_tokens": False}
        response = await client.post(f"{url.removesuffix('/v1')}/tokenize", json=body)
        found += response.raise_for_status().json()["tokens"]
    return found


def _ask_transformers(args: Arguments, paths: Sequence[Path]) -> list[Answered]:
    import torch

    from skinr1 import vlm

    processor = vlm.load_processor(args.model if _has_processor(args.model) else vlm.base_of(args.model))
    model = vlm.load_model(args.model).eval()
    text = processor.apply_chat_template(
        prompts.messages(prompts.REPORT_QUESTION, 1), tokenize=False, add_generation_prompt=True
    )
    banned = processor.tokenizer.convert_tokens_to_ids(list(IMAGE_TOKENS))
    done = []
    with progress_bar() as bar:
        for path in bar.track(paths, description="transformers"):
            inputs = processor(text=[text], images=[load_image(path)], return_tensors="pt")
            with torch.inference_mode():
                out = model.generate(
                    **inputs,
                    do_sample=False,
                    max_new_tokens=args.tokens,
                    suppress_tokens=banned,
                    output_scores=True,
                    return_dict_in_generate=True,
                )
            prompt = inputs["input_ids"][0].tolist()
            best = [score[0].topk(2).values.tolist() for score in out.scores]
            answer = out.sequences[0, len(prompt) :].tolist()
            done.append(Answered(prompt, answer, [first - second for first, second in best]))
    return done


def _has_processor(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("processor_config.json", "preprocessor_config.json"))
