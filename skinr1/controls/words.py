"""What the numbers of the controls mean, in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skinr1.controls.rows import MODEL
from skinr1.metrics.catalogue import TOP1, VALID
from skinr1.metrics.table import show

NO_IMAGE, SHUFFLED = "no image", "shuffled image"
MAJORITY, DRAWN, METADATA, PROBE = "training majority", "training frequencies", "metadata only", "linear probe"
BLIND = (MAJORITY, DRAWN, METADATA)
USES, NOT_SHOWN, MISLED, UNKNOWN = "uses the image", "no use of the image shown", "misled by the image", "not known"
FEW_VALID = 0.5
LEVEL_OF_TEST = 0.05

Row = Mapping[str, Any]


def side(difference: Mapping[str, Any]) -> int:
    """1 where the whole interval lies above 0, -1 below, 0 where it holds 0 or there is none."""
    low, high = difference["low"], difference["high"]
    if low is None or high is None:
        return 0
    return int(low > 0) - int(high < 0)


def verdict(rows: Sequence[Row]) -> str:
    """Whether the model uses the image: its top-1 against its own with another patient's image, paired.

    Exchanging is the control that decides: the request keeps its form, only what the picture shows is wrong. Without a
    picture a model is asked something that it never saw in training, and may fail for that alone.
    """
    shuffled = _named(rows).get(SHUFFLED)
    if shuffled is None or shuffled["model_minus"][TOP1.name]["low"] is None:
        return UNKNOWN
    return {1: USES, 0: NOT_SHOWN, -1: MISLED}[side(shuffled["model_minus"][TOP1.name])]


def words(rows: Sequence[Row]) -> list[str]:
    """The verdict, then what each control adds, one sentence each."""
    named = _named(rows)
    found = [_verdict(named, verdict(rows))]
    if NO_IMAGE in named:
        found.append(_no_image(named[NO_IMAGE]))
    found += _beside(named, BLIND)
    if PROBE in named:
        found.append(_probe(named[PROBE]))
    return found


def centre_words(found: Sequence[Row]) -> list[str]:
    """What the vision tower knows of each way to tell sources apart, one sentence each."""
    return [_not_computed(row) if "why" in row else _centre(row) for row in found]


def option_words(found: Row) -> str:
    """What the order of the options does, in one sentence."""
    size, p = found["size"], found["p_place"]
    by_place = ", ".join(f"{found[f'right_in_place_{at}']['value']:.2f}" for at in range(1, size + 1))
    matters = "matters" if p < LEVEL_OF_TEST else "is not shown to matter"
    same, none = show(found["same_in_every_order"]), show(found["none_named"])
    return (
        f"Of {size} options it names the same in every order in {same} of {found['cases']} choice questions, and none "
        f"in {none} of its answers; where the true one stands {matters} (right in place 1 to {size}: {by_place}; "
        f"Cochran's Q, p {p:.2g})."
    )


def _not_computed(row: Row) -> str:
    return f"Whether the vision tower knows the {row['attribute']} is not computable: {row['why']}."


def _centre(row: Row) -> str:
    name = row["attribute"]
    near = {
        1: f"Neighbours in the vision tower share the diagnosis group rather than the {name}",
        0: f"Neighbours in the vision tower are not shown to prefer the diagnosis group or the {name}",
        -1: f"Neighbours in the vision tower share the {name} rather than the diagnosis group",
    }[side(row["index_minus_chance"])]
    read = {
        1: f"reads the diagnosis group better than the {name}",
        0: "is not shown to read one better than the other",
        -1: f"reads the {name} better than the diagnosis group",
    }[side(row["kappa_of_diagnosis_minus_centre"])]
    index = f"robustness index {show(row['robustness_index'])}, by chance {show(row['index_by_chance'])}"
    kappas = f"kappa {show(row['kappa_of_diagnosis'])} and {show(row['kappa_of_centre'])}"
    return f"{near} ({index}); a linear classifier {read} ({kappas})."


def _named(rows: Sequence[Row]) -> dict[str, Row]:
    return {row["name"]: row for row in rows}


def _verdict(named: Mapping[str, Row], found: str) -> str:
    if found == UNKNOWN:
        why = "too few patients" if SHUFFLED in named else "it was not asked with exchanged images"
        return f"Whether the model uses the image is not known: {why}."
    control = named[SHUFFLED]
    same = show(control["beside"]["same_diagnosis"])
    numbers = (
        f"top-1 is {show(named[MODEL][TOP1.name])} with its own image and {show(control[TOP1.name])} with another "
        f"patient's, a difference of {show(control['model_minus'][TOP1.name], '+.2f')}"
    )
    begins = {
        USES: "The model uses the image",
        NOT_SHOWN: "No use of the image is shown",
        MISLED: "The right image misleads the model",
    }
    return f"{begins[found]}: {numbers}; the exchange leaves its diagnosis the same in {same} of cases."


def _no_image(row: Row) -> str:
    difference = row["model_minus"][TOP1.name]
    told = f"Without an image top-1 is {show(row[TOP1.name])}, its own minus this {show(difference, '+.2f')}"
    valid = row[VALID.name]["value"]
    if valid is not None and valid < FEW_VALID:
        return f"{told}; only {valid:.2f} of those answers are valid reports, so that this says little."
    return f"{told}."


def _beside(named: Mapping[str, Row], names: Sequence[str]) -> Iterator[str]:
    """One sentence for each way the model compares with what never saw a picture."""
    for where, begins in (
        (1, "Top-1 is higher than that of"),
        (0, "Top-1 is not shown to differ from that of"),
        (-1, "Top-1 is lower than that of"),
    ):
        group = [name for name in names if name in named and side(named[name]["model_minus"][TOP1.name]) == where]
        if group:
            told = (f"{name} ({show(named[name][TOP1.name])})" for name in group)
            yield f"{begins} {', '.join(told)}, which no picture went into."


def _probe(row: Row) -> str:
    beside = f"({show(row[TOP1.name])})"
    return {
        1: f"The model names the diagnosis more often than a linear probe of its vision tower {beside}.",
        0: f"No difference is shown between the model and a linear probe of its vision tower {beside}.",
        -1: f"The vision tower holds more than the model says: a linear probe is right more often {beside}.",
    }[side(row["model_minus"][TOP1.name])]
