"""The card as Markdown: the same numbers as the page, without its drawings."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from skinr1.page.markdown import plain


def markdown(card: Mapping[str, Any]) -> str:
    """The card's text; every name is escaped, so that none of them is read as markup."""
    return "\n".join(_lines(card)) + "\n"


def _lines(card: Mapping[str, Any]) -> Iterator[str]:
    totals = card["totals"]
    yield f"# {plain(card['title'])}"
    yield ""
    for note in card["build"]["notes"] or ():
        yield f"**{plain(note)}.** "
    yield (
        f"{totals['cases']} cases with {totals['images']} images of {totals['patients']} patients; "
        f"{totals['diagnoses']} diagnoses; {totals['rejected']} rows rejected. Research software, not a medical device."
    )
    yield from ("", "## Gaps", "")
    for gap in card["gaps"]:
        yield f"- {plain(gap['text'])}"
        yield from (f"    - {plain(item)}" for item in gap["items"])
    tones, splits = card["columns"]["tones"], card["columns"]["splits"]
    yield from ("", "## Diagnoses", "")
    heads = ["diagnosis", "condition", "cases", "patients", *tones, *splits, "sources", "licences"]
    yield from _table(heads, (_diagnosis(row, tones, splits) for row in card["diagnoses"]))
    yield from _trajectories(card["trajectories"])
    yield from ("", "## Sources and licences", "")
    yield from _table(
        ["licence", "terms", "cases", "commercial use", "name the authors", "same licence", "pass on"],
        (
            [key, row["name"], row["cases"], row["commercial"], *map(_said, _terms(row))]
            for key, row in card["licences"].items()
        ),
    )
    yield ""
    yield from _table(
        ["source", "cases", "licences", "for evaluation only"],
        ([key, row["cases"], _listed(row["licences"]), row["evaluation_only"]] for key, row in card["sources"].items()),
    )
    yield from ("", "## Other counts", "")
    for name in ("splits", "roles", "modalities", "tones", "tone_origins", "rejected"):
        yield f"- {name.replace('_', ' ')}: {plain(_listed(card[name])) or 'none'}"
    yield from ("", "`card.json` has the full cross of diagnosis, tone, source, licence and split.")


def _trajectories(made: Mapping[str, Any] | None) -> Iterator[str]:
    if made is None:
        return
    yield from ("", "## Trajectories", "")
    yield f"{made['total']} trajectories, which cite {len(made['cited'])} passages; cases are those that have one."
    yield ""
    rows = ([name, *kinds.values()] for name, kinds in made["diagnoses"].items())
    yield from _table(["diagnosis", *(kind.replace("_", " ") for kind in made["kinds"])], rows)


def _diagnosis(row: Mapping[str, Any], tones: Sequence[str], splits: Sequence[str]) -> list[object]:
    return [
        row["name"],
        " or ".join(row["conditions"]).replace("_", " "),
        row["cases"],
        row["patients"],
        *(row["tones"].get(tone, 0) for tone in tones),
        *(row["splits"].get(split, 0) for split in splits),
        _listed(row["sources"]),
        _listed(row["licences"]),
    ]


def _terms(row: Mapping[str, Any]) -> list[bool | None]:
    return [row["attribution"], row["share_alike"], row["redistribution"]]


def _said(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "not known"}[value]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(map(plain, heads))} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(map(plain, row))} |"
