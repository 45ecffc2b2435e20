"""A model in this process, for a machine without a server: requests as a server gets them, answered in batches."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from skinr1 import vlm
from skinr1.images import decode_image
from skinr1.serving.client import IMAGE_TOKENS, Completion

import torch  # isort: skip  (after skinr1.vlm, which makes torchvision importable)

BARRED = -100  # the logit bias that OpenAI's API documents as a ban


class LocalModel:
    """A loaded model and its ``processor``; greedy.

    Args:
        weights: folder of a full model, or of an adapter (merged in memory).
        dtype: torch dtype name of the weights.

    Raises:
        UserError: no model or processor there, of a family the project does not know, or an unknown dtype.
    """

    def __init__(self, weights: Path, dtype: str = "float32"):
        self.processor: Any = vlm.processor_of(weights)
        policy: Any = vlm.load_model(weights, dtype).eval()
        if isinstance(policy, vlm.PeftModel):
            policy = policy.merge_and_unload()
        self._policy = policy.to("cuda" if torch.cuda.is_available() else "cpu")
        ends = policy.generation_config.eos_token_id
        self._ends = {ends} if isinstance(ends, int) else set(ends)

    @property
    def image_tokens(self) -> tuple[int, ...]:
        """Ids of the image placeholder tokens, which no answer may hold."""
        return tuple(self.processor.tokenizer.convert_tokens_to_ids(list(IMAGE_TOKENS)))

    @torch.inference_mode()
    def complete(self, bodies: Sequence[Mapping[str, Any]]) -> list[Completion]:
        """Answers to requests as :func:`skinr1.serving.client.request_body` makes them, with one ``max_tokens``.

        Prompts are padded on the left, so an answer may differ from that of the prompt alone where two tokens are
        equally likely up to rounding.
        """
        texts = [
            self.processor.apply_chat_template(_messages(body), tokenize=False, add_generation_prompt=True)
            for body in bodies
        ]
        pictures = [picture for body in bodies for picture in _pictures(body)]
        inputs = self.processor(text=texts, images=pictures or None, padding=True, return_tensors="pt")
        barred = [int(token) for token, bias in bodies[0].get("logit_bias", {}).items() if bias <= BARRED]
        made = self._policy.generate(
            **inputs.to(self._policy.device),
            do_sample=False,
            max_new_tokens=bodies[0]["max_tokens"],
            suppress_tokens=barred or None,
        )
        prompts = inputs["attention_mask"].sum(dim=1).tolist()
        answers = made[:, inputs["input_ids"].shape[1] :].tolist()
        return [self._completion(prompt, tokens) for prompt, tokens in zip(prompts, answers, strict=True)]

    def _completion(self, prompt: int, tokens: Sequence[int]) -> Completion:
        end = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        text = self.processor.tokenizer.decode(tokens[:end], skip_special_tokens=True)
        written = len(tokens) if end is None else end + 1
        return Completion(text, "length" if end is None else "stop", prompt + written)


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages with each picture as a placeholder, as chat templates want them."""
    return [
        {
            "role": message["role"],
            "content": [{"type": "image"} if part["type"] == "image_url" else part for part in message["content"]],
        }
        for message in body["messages"]
    ]


def _pictures(body: Mapping[str, Any]) -> list[Image.Image]:
    parts = (part for message in body["messages"] for part in message["content"] if part["type"] == "image_url")
    return [decode_image(base64.b64decode(part["image_url"]["url"].partition(",")[2]), "request") for part in parts]
