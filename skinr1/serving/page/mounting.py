"""Hangs the page into a FastAPI application. It loads nothing from elsewhere and reports nothing anywhere."""

from collections.abc import Mapping, Sequence
from importlib.resources import files

import gradio as gr
from fastapi import FastAPI

from skinr1.knowledge.passages import Passage
from skinr1.serving.formats.html import scoped_style
from skinr1.serving.page.examples import Example
from skinr1.serving.page.layout import Stream, build
from skinr1.taxonomy import Taxonomy

# Names of fonts that are on the device; Gradio's own themes fetch theirs.
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")


def mount(
    app: FastAPI,
    stream: Stream,
    taxonomy: Taxonomy,
    passages: Mapping[str, Passage] | None = None,
    *,
    path: str = "/page",
    examples: Sequence[Example] = (),
    models: Sequence[str] = (),
    max_file_bytes: int = 20 * 2**20,
) -> FastAPI:
    """The application with the page at ``path``.

    Args:
        stream: an async generator function: a :class:`~skinr1.serving.envelope.ReportRequest` -> the reasoning in
            pieces, and last the :class:`~skinr1.serving.envelope.ReportEnvelope`. Its
            :class:`~skinr1.errors.UserError` is shown; any other exception is Gradio's to log.
        passages: what citations are quoted from.
        examples: pictures to try, each shown as rendered, not clinical.
        models: served names; a choice is offered where there are two or more.
    """
    theme = gr.themes.Base(primary_hue="blue", neutral_hue="slate", font=list(SANS), font_mono=list(MONO))
    css, js = (files("skinr1.serving.page").joinpath(f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    return gr.mount_gradio_app(
        app,
        build(stream, taxonomy, passages or {}, examples, models),
        path,
        theme=theme,
        css=scoped_style() + css,
        js=js,
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=max_file_bytes,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
    )
