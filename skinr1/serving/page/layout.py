"""What is on the page and what happens when; drawing a report is skinr1.serving.formats.html's."""

import html
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder, is_in_or_equal

from skinr1.errors import UserError
from skinr1.knowledge.passages import Passage
from skinr1.report import DISCLAIMER
from skinr1.serving.envelope import MAX_IMAGES, MAX_SAMPLES, ReportEnvelope, ReportRequest
from skinr1.serving.formats.html import fragment
from skinr1.serving.page.asking import FIELDS, read_form
from skinr1.serving.page.downloads import links
from skinr1.serving.page.examples import Example
from skinr1.taxonomy import Taxonomy

Stream = Callable[[ReportRequest], AsyncGenerator[str | ReportEnvelope, None]]
HEAD = f"""<header><h1>Report on skin images</h1>
<p>Give one to {MAX_IMAGES} photographs of the same skin change of one person.</p></header>"""
BAR = f'<p class="skinr1-bar" role="note"><strong>{DISCLAIMER}</strong> No medical advice.</p>'
AT_ONCE, WAITING = 16, 64  # reports that are written, and that wait for it
# Seconds between looks at an empty queue. Gradio looks a thousand times a second, which costs 8 % of a core for ever.
REST = 0.05
# On a phone the report is far below the button.
SCROLL = "() => { if (innerWidth < 700) document.querySelector('#reasoning').scrollIntoView() }"
EMPTY = '<p class="skinr1-empty">The report will stand here.</p>'


class Page(gr.Blocks):
    """Reads uploads only. Gradio itself would fetch any public address that a request names as its file, and, mounted
    in an application, read any file of this machine."""

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *further: Any, **options: Any) -> list[Any]:
        """The values of the form. Raises gradio.Error for a file that was not uploaded."""
        if not all(map(_uploaded, _paths(inputs))):
            raise gr.Error("a file must be uploaded; no address and no path is read", print_exception=False)
        return await super().preprocess_data(block_fn, inputs, *further, **options)


def _paths(value: Any) -> Iterator[Any]:
    """Where the files in it lie, however deep."""
    if isinstance(value, dict):
        if "path" in value:
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _paths(part)


def _uploaded(path: Any) -> bool:
    return isinstance(path, str) and "://" not in path and is_in_or_equal(path, get_upload_folder())


def build(
    stream: Stream,
    taxonomy: Taxonomy,
    passages: Mapping[str, Passage],
    examples: Sequence[Example],
    models: Sequence[str],
) -> gr.Blocks:
    """The page; uploaded files are deleted within half an hour."""
    with Page(title="skinr1", analytics_enabled=False, fill_width=True, delete_cache=(300, 1800)) as page:
        gr.HTML(BAR, elem_classes="skinr1-bar-holder")
        gr.HTML(HEAD)
        last = gr.State(None)
        with gr.Row(equal_height=False, elem_classes="skinr1-columns"):
            with gr.Column(scale=2, min_width=320):
                inputs = _form(models)
                ask = gr.Button("Write the report", variant="primary", elem_id="ask")
                stop = gr.Button("Stop", size="sm", elem_id="stop")
                if examples:
                    _examples(examples, inputs["images"])
            with gr.Column(scale=3, min_width=320):
                reasoning = gr.Textbox(
                    label="Reasoning, as the model writes it",
                    lines=4,
                    max_lines=10,
                    interactive=False,
                    elem_id="reasoning",
                )
                report = gr.HTML(EMPTY, elem_id="report")
                saved = gr.HTML("", elem_id="downloads")
        with gr.Accordion("Compare with the run before", open=False, elem_id="compare"):
            before = gr.HTML('<p class="skinr1-empty">There is none yet.</p>', elem_id="before")

        async def run(kept: ReportEnvelope | None, *values: Any) -> AsyncGenerator[tuple[Any, ...]]:
            """One report: text grows first, then the report stands there, and below it beside the last one."""
            told = ""
            yield told, _status("The images are being read …"), "", gr.skip(), kept
            try:
                request = read_form(dict(zip(inputs, values, strict=True)))
                async with aclosing(stream(request)) as events:
                    async for event in events:
                        if isinstance(event, ReportEnvelope):
                            shown = fragment(event, taxonomy, passages, "now-")
                            saved = links(event, taxonomy, passages)
                            both = _side_by_side(kept, event, taxonomy, passages) if kept else gr.skip()
                            yield event.reasoning or told, shown, saved, both, event
                        else:
                            told += event
                            yield told, _status("The model is writing …"), "", gr.skip(), kept
            except UserError as error:
                yield told, _problem(str(error)), "", gr.skip(), kept

        running = ask.click(
            run,
            [last, *inputs.values()],
            [reasoning, report, saved, before, last],
            show_progress="hidden",
            concurrency_limit=AT_ONCE,
            api_visibility="private",
        )
        ask.click(None, js=SCROLL, api_visibility="private")
        stop.click(lambda: _status("Stopped."), None, report, cancels=[running], api_visibility="private", queue=False)
    page.queue(max_size=WAITING)  # beyond it Gradio answers 503, and the page says that it is busy
    page._queue.sleep_when_free = page._queue.progress_update_sleep_when_free = REST
    return page


def _form(models: Sequence[str]) -> dict[str, Any]:
    """The inputs by the names of :data:`~skinr1.serving.page.asking.FIELDS`."""
    images = gr.Gallery(
        label="Images: drop, choose or paste",
        file_types=["image"],
        format="png",
        columns=3,
        height=260,
        object_fit="contain",
        interactive=True,
        sources=["upload", "clipboard"],
        elem_id="images",
        buttons=[],
    )
    modality = gr.Radio(
        [("not known", ""), ("photograph", "clinical"), ("dermoscopy", "dermoscopic")], value="", label="How taken"
    )
    with gr.Accordion("What the patient tells (optional)", open=False):
        with gr.Row():
            age = gr.Textbox(label="Age in years", max_length=3, min_width=120)  # a Number left empty says 0
            sex = gr.Dropdown([("not told", ""), "female", "male"], value="", label="Sex", min_width=120)
        site = gr.Textbox(label="Where on the body", max_length=80)
        duration = gr.Textbox(label="How long", placeholder="3 weeks", max_length=80)
        symptoms = gr.Textbox(label="Complaints, with commas between", placeholder="itch, bleeding", max_length=400)
        history = gr.Textbox(label="Anything else (no names)", lines=2, max_length=2000)
    with gr.Accordion("How it is asked", open=False):
        model = gr.Dropdown(list(models), value=models[-1] if models else None, label="Model", visible=len(models) > 1)
        samples = gr.Slider(1, MAX_SAMPLES, value=1, step=1, label="Answers to vote over; each costs as much as one")
        views = gr.Checkbox(False, label="Also look at flipped, turned and cropped copies")
        seed = gr.Number(17, label="Seed", minimum=0, maximum=2**31 - 1, precision=0)
    found = (images, modality, age, sex, site, duration, symptoms, history, model, samples, views, seed)
    return dict(zip(FIELDS, found, strict=True))


def _examples(examples: Sequence[Example], images: gr.Gallery) -> None:
    shown = gr.Gallery(
        [(example.image, example.caption) for example in examples],
        label="Examples: rendered, not clinical",
        columns=3,
        height="auto",
        format="png",
        interactive=False,
        allow_preview=False,
        elem_id="examples",
        buttons=[],
    )

    def choose(event: gr.SelectData) -> list[tuple[Any, str]]:
        example = examples[int(event.index)]
        return [(example.image, example.caption)]

    shown.select(choose, None, images, api_visibility="private", show_progress="hidden")


def _side_by_side(
    before: ReportEnvelope, now: ReportEnvelope, taxonomy: Taxonomy, passages: Mapping[str, Passage]
) -> str:
    runs = (("Before", before, "before-"), ("Now", now, "again-"))
    drawn = (
        f"<section><h2>{title}</h2>{fragment(one, taxonomy, passages, name)}</section>" for title, one, name in runs
    )
    return f'<div class="skinr1-two">{"".join(drawn)}</div>'


def _status(words: str) -> str:
    return f'<p class="skinr1-empty" role="status">{html.escape(words)}</p>'


def _problem(words: str) -> str:
    return f'<p class="skinr1-problem" role="alert">{html.escape(words)}</p>'
