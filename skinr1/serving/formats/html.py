"""An envelope as HTML: a fragment for pages of ours, and a self-contained page. The drawing is skinr1.page's."""

import re
from collections.abc import Mapping
from importlib.resources import files

from skinr1.knowledge.passages import Passage
from skinr1.page.environment import environment
from skinr1.serving.envelope import ReportEnvelope
from skinr1.serving.text import ADVICE
from skinr1.taxonomy import Taxonomy

SCOPE = ".skinr1-report"


def to_html(envelope: ReportEnvelope, taxonomy: Taxonomy, passages: Mapping[str, Passage]) -> str:
    """A page that loads nothing and runs nothing: its content policy forbids both."""
    return _render("report.html", envelope, taxonomy, passages, "")


def fragment(envelope: ReportEnvelope, taxonomy: Taxonomy, passages: Mapping[str, Passage], name: str = "") -> str:
    """The same report without a page around it; ``name`` keeps the ids of two reports on one page apart.

    A citation opens its passage in place: in somebody else's page a link to an anchor may lead away.
    """
    return _render("report_fragment.html", envelope, taxonomy, passages, name)


def _render(
    template: str, envelope: ReportEnvelope, taxonomy: Taxonomy, passages: Mapping[str, Passage], name: str
) -> str:
    report = envelope.report
    cited = {key: passages[key] for key in report.citations if key in passages}
    return (
        environment(taxonomy)
        .get_template(template)
        .render(
            envelope=envelope,
            advice=ADVICE[report.advice],
            cited=cited,
            anchors={key: f"{name}passage-{number}" for number, key in enumerate(cited, 1)},
            quotes={key: passage.text for key, passage in cited.items()},
            about={entry.diagnosis: about(entry.diagnosis, cited) for entry in report.differential},
            taxonomy=taxonomy,
        )
    )


def about(node: str, cited: Mapping[str, Passage]) -> list[str]:
    """Ids of the cited passages that are about a node, a group it is in, or something below it."""
    return [
        key
        for key, passage in cited.items()
        if any(f"{node}/".startswith(f"{one}/") or f"{one}/".startswith(f"{node}/") for one in passage.diagnoses)
    ]


def scoped_style() -> str:
    """The pages' style sheet for a fragment inside somebody else's page, dark where that page says ``.dark``.

    Its rules are nested under the fragment's class, so that they touch nothing else.
    """
    style = files("skinr1.page").joinpath("templates", "page.css").read_text(encoding="utf-8")
    own = files("skinr1.page").joinpath("templates", "report.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    return f"{SCOPE} {{{light}}}\n.dark {SCOPE} {{{dark}}}\n{SCOPE} {{ color: var(--ink);\n{style}\n{own}\n}}"
