"""The grounding check of free text: every sentence follows from the case's annotations or from the passage it cites.

- An observation names only signs that are annotated, present or absent as it says.
- Knowledge names a diagnosis and a passage that says it: sign by sign, denied where denied, as often as it says.
- An inference combines both: its signs are this case's, and a cited passage makes them count for, or against, what it
  names. A rival must have been introduced so; the diagnosis concluded is the label's.

Hedges claim no less than what they hedge ("perhaps an ulcer" needs the ulcer), and words outside
:mod:`skinr1.trajectories.words` need the cited passage or the patient's own data. What cannot be read is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from skinr1.cases import Case
from skinr1.concepts import concepts, without
from skinr1.knowledge import Knowledge
from skinr1.taxonomy import Taxonomy
from skinr1.trajectories import words
from skinr1.trajectories.evidence import Ungrounded, truth_node
from skinr1.trajectories.findings import Findings, wholes
from skinr1.trajectories.reading import Clause, Sentence, Sign, sentences
from skinr1.trajectories.steps import DECLINED, checklist_of, checklist_text
from skinr1.trajectories.textbooks import OCCASIONAL, Shelf, Textbook, shelf

Named = tuple[tuple[str, frozenset[str]], ...]  # as in Clause.names


@dataclass(frozen=True)
class Fault:
    """An unsupported sentence, ``text[start:end]``; ``why`` is a short reason, a colon, and what it is about."""

    start: int
    end: int
    sentence: str
    why: str

    @property
    def reason(self) -> str:
        return self.why.partition(":")[0]


def check_text(text: str, case: Case, knowledge: Knowledge, taxonomy: Taxonomy) -> list[Fault]:
    """What the text says that the case and the textbook do not; an empty list means that it is grounded.

    Any text will do, whoever wrote it. It need not end in a conclusion: that is for
    :func:`skinr1.trajectories.grounding.check`, which knows what kind of trajectory it is.
    """
    return faults(text, case, Findings.of(case), knowledge, taxonomy)


def faults(text: str, case: Case, findings: Findings, knowledge: Knowledge, taxonomy: Taxonomy) -> list[Fault]:
    """:func:`check_text` for one who has the case's findings at hand."""
    read = sentences(text, taxonomy)
    cited = tuple(dict.fromkeys(p for sentence in read for clause in sentence.clauses for p in clause.passages))
    reader = _Reader(case, findings, shelf(knowledge), taxonomy, cited)
    return [
        Fault(sentence.start, sentence.end, sentence.text, why)
        for sentence in read
        for why in dict.fromkeys(reader.faults(sentence))
    ]


@dataclass
class _Reader:
    """Reads sentence after sentence and remembers which rivals have been introduced, and which one last."""

    case: Case
    findings: Findings
    shelf: Shelf
    taxonomy: Taxonomy
    cited: tuple[str, ...]
    introduced: set[str] = field(default_factory=set)
    rival: str | None = None

    def __post_init__(self) -> None:
        try:
            self.truth = self.taxonomy.path(truth_node(self.case, self.taxonomy))
        except Ungrounded:
            self.truth = ()
        self.present = {*self.findings.present, *self.findings.quality}
        self.present |= {whole for name in self.present for whole in wholes(name)}
        self.absent = set(self.findings.absent)
        self.patient = _patient_words(self.case)

    def faults(self, sentence: Sentence) -> Iterator[str]:
        if any(words.CHECKLIST in clause.words for clause in sentence.clauses):
            if sentence.text != checklist_text(checklist_of(self.findings)):
                yield "checklist is not this case's"
            return
        if sentence.text == DECLINED and not self.findings.quality:
            yield "declines although the image can be assessed"
        named: Named = ()
        passages: tuple[str, ...] = ()
        for clause in sentence.clauses:
            named, passages = clause.names or named, clause.passages or passages
            yield from (f"passage does not exist: {p}" for p in clause.passages if p not in self.shelf.passages)
            yield from self._words(sentence, clause)
            if sentence.type == "knowledge":
                yield from self._knowledge(clause, named, passages)
            else:
                yield from (fault for sign in clause.signs for fault in self._observation(sign))
            if sentence.type == "inference":
                yield from self._inference(clause, named, passages or self.cited)
            if sentence.type == "knowledge" or clause.passages:
                self._introduce(clause, named, passages)

    def _words(self, sentence: Sentence, clause: Clause) -> Iterator[str]:
        unknown = clause.words - _ALLOWED
        if unknown and sentence.type == "knowledge":
            unknown = unknown.difference(*(self.shelf.words(p) for p in clause.passages if p in self.shelf.passages))
        yield from (f"word that no vocabulary holds: {word}" for word in sorted(unknown - self.patient))

    def _observation(self, sign: Sign) -> Iterator[str]:
        if sign.denied:
            if sign.concept in self.present:
                yield f"annotated as present: {sign.concept}"
            elif not {sign.concept, *wholes(sign.concept)} & self.absent:
                yield f"not annotated as absent: {sign.concept}"
        elif sign.concept in self.absent and sign.concept not in self.findings.present:
            yield f"annotated as absent: {sign.concept}"
        elif sign.concept not in self.present:
            yield f"not annotated: {sign.concept}"

    def _knowledge(self, clause: Clause, named: Named, passages: tuple[str, ...]) -> Iterator[str]:
        about = frozenset().union(*(nodes for _, nodes in named))
        for passage, names in clause.cited or ((None, ()),):
            sources = passages if passage is None else (passage,)
            for sign in clause.signs:
                if sign.concept in names and not any(self._says(p, about, sign, clause) for p in sources):
                    yield f"passage does not say so: {without(sign.concept) if sign.denied else sign.concept}"
            if passage is not None and not names and not self._quotes(clause, passage, about):
                yield f"passage is cited for nothing: {passage}"
        for name, nodes in clause.names:
            if name in clause.denied:
                yield f"denies what the passage is about: {name}"
            if not any(self._speaks_of(p, nodes, clause) for p in passages):
                yield f"passage is not about it: {name}"

    def _says(self, passage: str, about: frozenset[str], sign: Sign, clause: Clause) -> bool:
        """The passage says this sign of one of the diagnoses, so often and denied or not."""
        rules = [self.shelf.said.get(passage, {}).get((node, sign.concept)) for node in about]
        if any(rule and rule.negated == sign.denied and _as_often(rule.frequency, clause) for rule in rules):
            return True
        edges = self.shelf.compared.get(passage, ())
        plainly = not sign.denied and not clause.words & (words.EMPHASIS | words.RARITY)
        return plainly and any(node in about and name == sign.concept for node, _, name in edges)

    def _speaks_of(self, passage: str, nodes: frozenset[str], clause: Clause) -> bool:
        """The passage says one of the clause's signs of one of these nodes, or is quoted about them."""
        concepts_said = {sign.concept for sign in clause.signs}
        if any(node in nodes and name in concepts_said for node, name in self.shelf.said.get(passage, ())):
            return True
        edges = self.shelf.compared.get(passage, ())
        if any(nodes & {node, rival} and name in concepts_said for node, rival, name in edges):
            return True
        return self._quotes(clause, passage, nodes)

    def _quotes(self, clause: Clause, passage: str, nodes: frozenset[str]) -> bool:
        """Without a sign, the clause must be the passage's own words about its own diagnosis."""
        if clause.signs or passage not in self.shelf.passages:
            return False
        held = self.shelf.passages[passage]
        return bool(nodes & set(held.diagnoses)) and f" {clause.sequence} " in f" {self.shelf.sequence(passage)} "

    def _inference(self, clause: Clause, named: Named, passages: tuple[str, ...]) -> Iterator[str]:
        nodes = frozenset().union(*(found for _, found in named))
        rivals = {node for _, found in named if not found & set(self.truth) for node in found}
        argues = clause.words & words.AGAINST
        for passage, names in clause.cited or ((None, ()),):
            sources = passages if passage is None else (passage,)
            for sign in clause.signs:
                if sign.concept in names and (named or clause.passages):
                    sound = self._against(sign, rivals, sources) if argues else self._for(sign, nodes, sources)
                    if not sound:
                        yield f"no passage makes it count {'against' if argues else 'for'}: {sign.concept}"
            if passage is not None and not names:
                yield f"passage is cited for nothing: {passage}"
        yield from self._names(clause, passages)

    def _for(self, sign: Sign, nodes: frozenset[str], passages: tuple[str, ...]) -> bool:
        about = nodes or frozenset(self.truth)
        for passage in passages:
            rules = (self.shelf.said.get(passage, {}).get((node, sign.concept)) for node in about)
            if any(rule is not None and rule.negated == sign.denied for rule in rules):
                return True
            edges = self.shelf.compared.get(passage, ())
            if not sign.denied and any(node in about and name == sign.concept for node, _, name in edges):
                return True
        return False

    def _against(self, sign: Sign, rivals: set[str], passages: tuple[str, ...]) -> bool:
        """Present, the truth's by a passage and not the rival's; or absent, and the rival's by a passage."""
        others = rivals or ({self.rival} if self.rival else set())
        books = [self.shelf.book(rival) for rival in others]
        if not books or (not sign.denied and any(sign.concept in book.shown for book in books)):
            return False
        return any(self._decides(passage, sign, book) for passage in passages for book in books)

    def _decides(self, passage: str, sign: Sign, rival: Textbook) -> bool:
        said = self.shelf.said.get(passage, {})
        edges = self.shelf.compared.get(passage, ())
        own = said.get((rival.node, sign.concept))
        if sign.denied:
            compared = any((rival.node, node, sign.concept) in edges for node in self.truth)
            return compared or (own is not None and not own.negated)
        rules = (said.get((node, sign.concept)) for node in self.truth)
        compared = any((node, rival.node, sign.concept) in edges for node in self.truth)
        return compared or any(r and not r.negated for r in rules) or (own is not None and own.negated)

    def _names(self, clause: Clause, passages: tuple[str, ...]) -> Iterator[str]:
        """A rival is introduced by a passage or was before; what is concluded is the truth, and only it."""
        concludes = not clause.words & (words.CONSIDERS | words.CONTRASTS) or clause.words & words.CONCLUDES
        for place, (name, nodes) in enumerate(clause.names):
            if nodes & set(self.truth):
                if name in clause.denied:
                    yield f"denies the diagnosis of this case: {name}"
                continue
            if name in clause.denied and clause.words & words.CONSIDERS:
                yield f"denies what it considers: {name}"
            if concludes and (place == 0 or not clause.words & (words.CONTRASTS | {"ranking"})):
                yield f"is not the diagnosis of this case: {name}"
            elif not self._known(nodes) and not any(self._speaks_of(p, nodes, clause) for p in clause.passages):
                yield f"diagnosis without a passage: {name}"

    def _known(self, nodes: frozenset[str]) -> bool:
        return any(node in nodes for rival in self.introduced for node in self.taxonomy.path(rival))

    def _introduce(self, clause: Clause, named: Named, passages: tuple[str, ...]) -> None:
        for _, nodes in named:
            if not nodes & set(self.truth) and any(self._speaks_of(p, nodes, clause) for p in passages):
                self.introduced |= nodes
                self.rival = min(nodes)


def _as_often(frequency: str, clause: Clause) -> bool:
    occasional = frequency in OCCASIONAL
    if clause.words & words.RARITY:
        return occasional
    return not (occasional and clause.words & words.EMPHASIS)


_ALLOWED = words.PLAIN | frozenset(entry.group for entry in concepts().values())


def _patient_words(case: Case) -> frozenset[str]:
    """What the record says of the patient and the view may be repeated."""
    found = set((case.site or "").lower().replace("-", " ").split()) | words.SEXES.get(case.sex or "", frozenset())
    if case.age is not None:
        found |= {str(case.age), "year", "years", "old", "aged", "age"}
    if case.modality:
        found |= {"clinical"} if case.modality == "clinical" else {"dermoscopic", "dermoscopy", "dermoscope"}
    return frozenset(found)
