"""Folders -> a folder of pages: ``index.html``, ``page-0001.html`` …, and ``rejected-0001.html`` … where needed."""

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from skinr1.browse.exhibits import Exhibit, Rejected, exhibit, label_name, rejected_of
from skinr1.browse.rows import Rows
from skinr1.cases import CASES_FILE, Case, read_cases
from skinr1.datacard.tally import NO_SPLIT, RENDERED_PREFIX, tone_of
from skinr1.errors import UserError
from skinr1.knowledge import Knowledge
from skinr1.neighbours import TRAINING_FILES, Folders, same_taxonomy
from skinr1.page.environment import environment
from skinr1.stage import REJECTED, read_manifest, write_atomic
from skinr1.taxonomy import Taxonomy

PER_PAGE = 60
REJECTED_PER_PAGE = 500
NO_TRAJECTORY = "(no trajectory)"
_MARK = '<meta name="generator" content="skinr1 data browse">'


@dataclass(frozen=True)
class Written:
    """What a gallery shows; ``missing`` pictures could not be, and ``unknown`` passages are cited but in no book."""

    cases: int
    pages: int
    trajectories: int
    rejected: int
    missing: int
    unknown: tuple[str, ...]


@dataclass
class _Seen:
    """What is counted while pages are written, for the index."""

    pages: list[dict[str, Any]] = field(default_factory=list)
    facets: dict[str, set[str]] = field(
        default_factory=lambda: {name: set() for name in ("diagnosis", "tone", "split", "kind")}
    )
    reasons: Counter[str] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)
    trajectories: int = 0
    missing: int = 0


class _Gallery:
    def __init__(self, folders: Folders, taxonomy: Taxonomy, per_page: int):
        self.folders, self.taxonomy, self.per_page = folders, taxonomy, per_page
        for folder in (folders.cases, folders.trajectories):
            if folder is not None:
                same_taxonomy(read_manifest(folder), taxonomy, folder)
        self.knowledge = Knowledge.load(folders.knowledge) if folders.knowledge else None
        made = folders.trajectories
        self.cases = Rows([folders.cases / CASES_FILE])
        self.rows = Rows([made / name for name in TRAINING_FILES] if made else [])
        self.refused = Rows([made / REJECTED] if made else [])
        self.seen = _Seen()
        script = files("skinr1.page").joinpath("templates", "browse.js").read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
        self.shared: dict[str, Any] = {
            "script": script,
            "script_hash": f"sha256-{digest}",
            "mark": _MARK,
            "none": NO_TRAJECTORY,
            "title": "Gallery of cases" if made is None else "Gallery of trajectories",
            "notes": sorted({note for f in (folders.cases, made) if f for note in read_manifest(f).get("notes") or ()}),
            "taxonomy": taxonomy,
            "with_trajectories": made is not None,
            "all_cases": folders.all_cases,
        }
        self.environment = environment(taxonomy)

    def order(self) -> list[str]:
        """Case ids by diagnosis, then by id. Raises UserError for a trajectory of a case that is not there."""
        lost = [name for name in self.rows if name not in self.cases]
        if lost:
            raise UserError(
                "trajectory of an unknown case", lost[0], f"Give the cases it was made from ({CASES_FILE})."
            )
        wanted = None if self.folders.all_cases else {*self.rows, *self.refused}
        self.shared["rendered"] = 0
        named = []
        for case in read_cases(self.folders.cases):
            if wanted is not None and case.case_id not in wanted:
                continue
            named.append((label_name(case, self.taxonomy), case.case_id))
            self._offer(case)
        return [case_id for _, case_id in sorted(named)]

    def _offer(self, case: Case) -> None:
        """Adds the case to what the filters offer."""
        self.shared["rendered"] += case.source.startswith(RENDERED_PREFIX)
        self.seen.facets["diagnosis"].add(label_name(case, self.taxonomy))
        self.seen.facets["tone"].add(tone_of(case.skin_tone))
        self.seen.facets["split"].add(case.split or NO_SPLIT)
        kinds = {str(row.get("kind")) for row in self.rows[case.case_id]}
        self.seen.facets["kind"] |= kinds or {NO_TRAJECTORY}

    def exhibit(self, case_id: str) -> Exhibit:
        case = Case.model_validate(self.cases[case_id][0])
        rows, refused = self.rows[case_id], self.refused[case_id]
        return exhibit(case, self.folders.cases, rows, refused, self.taxonomy)

    def page(self, number: int, pages: int, ids: Sequence[str], total: int) -> str:
        """One page of cases; notes what the index says of it."""
        first = (number - 1) * self.per_page + 1
        shown = [self.exhibit(case_id) for case_id in ids]
        cited = dict.fromkeys(name for case in shown for made in case.trajectories for name in made.passages)
        anchors = {name: f"passage-{place}" for place, name in enumerate(cited, 1)}
        books = self.knowledge.passages if self.knowledge else {}
        self._note(shown, number, first, [name for name in cited if name not in books])
        return self.environment.get_template("browse_page.html").render(
            **self.shared,
            facets=self.facets(),
            exhibits=shown,
            first=first,
            total=total,
            number=number,
            pages=pages,
            file_of=page_file,
            anchors=anchors,
            passages={name: books.get(name) for name in cited},
            groups=_groups,
        )

    def _note(self, shown: Sequence[Exhibit], number: int, first: int, unknown: Iterable[str]) -> None:
        seen = self.seen
        missing = sum(picture is None for case in shown for picture in case.pictures)
        seen.missing += missing
        seen.unknown.update(unknown)
        seen.trajectories += sum(len(case.trajectories) for case in shown)
        seen.reasons.update(_reason(row) for case in shown for row in case.rejected)
        seen.pages.append(
            {
                "file": page_file(number),
                "number": number,
                "first": first,
                "last": first + len(shown) - 1,
                "from": shown[0].name,
                "to": shown[-1].name,
                "trajectories": sum(len(case.trajectories) for case in shown),
                "missing": missing,
                "groups": _groups(shown),
            }
        )

    def facets(self) -> dict[str, list[str]]:
        return {name: sorted(values) for name, values in self.seen.facets.items()}

    def others(self, shown: set[str]) -> list[Rejected]:
        """What was rejected and belongs to no case that is shown."""
        lost = [row for name in self.refused if name not in shown for row in self.refused[name]]
        if self.folders.all_cases and (self.folders.cases / REJECTED).is_file():
            of_cases = Rows([self.folders.cases / REJECTED])
            lost += [row for name in of_cases for row in of_cases[name]]
        return list(map(rejected_of, lost))


def write_gallery(
    folders: Folders,
    output: Path,
    taxonomy: Taxonomy,
    per_page: int = PER_PAGE,
    watch: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> Written:
    """Writes the gallery and removes pages of an earlier, longer one.

    Args:
        per_page: cases on one page; none is left out, there are as many pages as it takes.
        watch: passes the case ids through while pages are made.

    Raises:
        UserError: a row cannot be read, the folders do not belong together, or there is nothing to show.
    """
    if per_page < 1:
        raise UserError("per_page is under 1", str(per_page), "Give at least 1.")
    gallery = _Gallery(folders, taxonomy, per_page)
    ids = gallery.order()
    if not ids:
        raise UserError("no case to show", str(folders.trajectories or folders.cases), "Run the stage that makes them.")
    pages = -(-len(ids) // per_page)
    names = []
    for number, some in enumerate(_batches(watch(ids), per_page), 1):
        names.append(page_file(number))
        write_atomic(output / names[-1], gallery.page(number, pages, some, len(ids)))
    others = gallery.others(set(ids))
    names += _write_rejected(gallery, others, output)
    gallery.seen.reasons.update(map(_reason, others))
    _remove_older(output, {*names, "index.html"})
    index = gallery.environment.get_template("browse_index.html").render(
        **gallery.shared,
        facets=gallery.facets(),
        seen=gallery.seen,
        total=len(ids),
        per_page=per_page,
        rejected_pages=[name for name in names if name.startswith("rejected-")],
        others=len(others),
    )
    write_atomic(output / "index.html", index)
    seen = gallery.seen
    return Written(len(ids), pages, seen.trajectories, seen.reasons.total(), seen.missing, tuple(sorted(seen.unknown)))


def page_file(number: int, kind: str = "page") -> str:
    return f"{kind}-{number:04d}.html"


def _write_rejected(gallery: _Gallery, others: Sequence[Rejected], output: Path) -> list[str]:
    total = -(-len(others) // REJECTED_PER_PAGE)
    names = []
    for number, some in enumerate(_batches(others, REJECTED_PER_PAGE), 1):
        names.append(page_file(number, "rejected"))
        page = gallery.environment.get_template("browse_rejected.html").render(
            **gallery.shared,
            rows=some,
            first=(number - 1) * REJECTED_PER_PAGE + 1,
            total=len(others),
            number=number,
            pages=total,
            file_of=page_file,
        )
        write_atomic(output / names[-1], page)
    return names


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _groups(shown: Iterable[Exhibit]) -> list[dict[str, Any]]:
    """Cases of equal facets together with their number, for the filter."""
    counts: Counter[tuple[str, str, str, tuple[str, ...]]] = Counter()
    for case in shown:
        counts[case.name, case.tone, case.split, case.kinds or (NO_TRAJECTORY,)] += 1
    return [
        {"diagnosis": name, "tone": tone, "split": split, "kind": list(kinds), "cases": count}
        for (name, tone, split, kinds), count in sorted(counts.items())
    ]


def _reason(row: Rejected) -> str:
    return row.reason.partition(":")[0]


def _remove_older(output: Path, written: set[str]) -> None:
    """Pages that an earlier gallery in this folder had and this one has not; other people's files stay."""
    for pattern in ("page-*.html", "rejected-*.html"):
        for path in sorted(output.glob(pattern)):
            if path.name not in written and _MARK in path.read_text(encoding="utf-8", errors="replace")[:2000]:
                path.unlink()
