"""``skinr1 <stage>``: one verb a stage. Imports happen inside the verbs, so that ``--help`` answers at once."""

import importlib
import sys

from skinr1 import __version__
from skinr1.errors import UserError

# verb: (what it does, module[:function] that takes the arguments)
STAGES = {
    "demo": ("run the whole pipeline on the embedded default", "skinr1.pipeline"),
    "knowledge": ("textbook -> passages, diagnostic rules, differential graph", "data_builders.knowledge"),
    "cases": ("images with labels -> cases, split by patient", "data_builders.cases"),
    "splits": ("folders of cases -> one leak-proof split with its audit", "data_builders.splits"),
    "captions": ("cases -> label-free captions for pretraining", "data_builders.captions"),
    "trajectories": ("dense cases + knowledge -> grounded reasoning", "data_builders.trajectories"),
    "rewrite": ("cases + knowledge -> descriptions and rationales by a model", "data_builders.rewrite"),
    "rl": ("sparse cases -> prompts with verifiable truth", "data_builders.rl"),
    "pass_rate": ("prompts + a served model -> prompts it sometimes gets right", "data_builders.pass_rate"),
    "export": ("training rows -> TRL, LLaVA, VERL or WebDataset files", "data_builders.export"),
    "data": ("data card of a build; gallery of cases and trajectories", "skinr1.data"),
    "serve": ("start vLLM and the gateway in front of it", "skinr1.serving.serve:serve_main"),
    "key": ("make, list or revoke API keys of the gateway", "skinr1.serving.commands:key_main"),
    "report": ("images -> a validated report from a running server", "skinr1.serving.commands:report_main"),
    "interpret": ("probe, concept directions and heat maps of a model", "skinr1.interpret.command"),
    "parity": ("transformers and vLLM: the same tokens, the same answers?", "skinr1.serving.parity"),
    "merge": ("adapter -> full model, checked for equal answers", "skinr1.merge"),
    "doctor": ("this machine, a recipe's memory, a run's cost", "skinr1.doctor"),
    "taxonomy": ("show, lint, search or compare trees of diagnoses", "skinr1.taxonomy.show"),
}
SCRIPTS = """\
Training runs under torchrun, evaluation as scripts:
  torchrun --nproc_per_node N recipes/sft.py  --config recipes/<model>/sft.yaml
  torchrun --nproc_per_node N recipes/grpo.py --config recipes/<model>/grpo.yaml
                                              [--deepspeed recipes/deepspeed/zero2.json]
  python eval/predict.py --config …    python eval/score.py --config …    python eval/page.py --config …
  python eval/controls.py --config …   python eval/judge.py --config …    python eval/compare.py --config …
"""


def usage() -> str:
    """The list of stages, in the order the work flows."""
    stages = "\n".join(f"  {name:13}{text}" for name, (text, _) in STAGES.items())
    return (
        f"skinr1 {__version__}: reasoning about skin images, grounded in a textbook. Research only.\n\n"
        f"usage: skinr1 <stage> [--config FILE.yaml] [--key value …]      skinr1 <stage> --help\n\n"
        f"stages:\n{stages}\n\n{SCRIPTS}"
    )


def main() -> None:
    """Console entry point."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(usage())
        return
    verb, rest = arguments[0], arguments[1:]
    if verb == "--version":
        print(__version__)
        return
    if verb not in STAGES:
        print(f"error: unknown stage {verb!r}: skinr1 --help lists them", file=sys.stderr)
        sys.exit(2)
    try:
        module, _, function = STAGES[verb][1].partition(":")
        getattr(importlib.import_module(module), function or "main")(rest)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
