"""What a reasoning concludes: the diagnosis that its last naming sentence affirms."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from skinr1.taxonomy import Taxonomy
from skinr1.taxonomy.node import words

_SENTENCES = re.compile(r"[.;!?\n]+(?:\s+|$)")
_CLAUSES = re.compile(r"[,:()]|\b(?:but|although|though|whereas|however)\b", re.IGNORECASE)
# Before a name: what sets it aside from anywhere in its clause, and what denies it from behind the last verb before it.
_ASIDE = re.compile(r"\b(?:unlike|against|than|exclud\w+|ruled|rejected|considered|rivals?)\b")
_DENIED = re.compile(r"\b(?:no(?! doubt)|not(?! only)|without|never|neither|nor|unlikely|cannot|isnt|wasnt)\b")
_VERBS = re.compile(r"\b(?:is|are|was|were|favou?rs?|suggests?|indicates?|means?)\b")
# Behind it, up to the next name.
_BEHIND = re.compile(r"\b(?:excluded|unlikely|ruled|rejected|absent|less|isnt|wasnt|(?:is|was) not)\b")


def concludes(spoken: str, node: str, taxonomy: Taxonomy) -> bool:
    """Whether the last sentence that affirms a diagnosis affirms this node, by its name or an alias.

    A sentence that only denies ("melanoma is excluded", "rather than a nevus") is passed over, and so is one that only
    names groups of diagnoses: "to rule out a tumour" concludes nothing. It is words that are read, not their sense.
    """
    for sentence in reversed(_SENTENCES.split(spoken)):
        affirmed, decides = _affirmed(sentence, taxonomy)
        if node in affirmed or decides:
            return node in affirmed
    return False


@lru_cache(maxsize=4096)  # completions conclude in the same words
def _affirmed(sentence: str, taxonomy: Taxonomy) -> tuple[frozenset[str], bool]:
    """The nodes that a sentence affirms, and whether a diagnosis is among them."""
    found = frozenset(node for clause in _CLAUSES.split(sentence) for node in _in_clause(words(clause), taxonomy))
    return found, any(taxonomy.node(node).diagnosis for node in found)


def _in_clause(clause: Sequence[str], taxonomy: Taxonomy) -> Iterator[str]:
    found = list(taxonomy.named(clause))
    for start, end, nodes in found:
        before = " ".join(clause[:start])
        behind = " ".join(clause[end : next((other for other, _, _ in found if other >= end), len(clause))])
        if not (_ASIDE.search(before) or _DENIED.search(_VERBS.split(before)[-1]) or _BEHIND.search(behind)):
            yield from nodes
