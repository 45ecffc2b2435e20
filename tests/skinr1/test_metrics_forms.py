"""What only the shorter forms can be asked, each number worked out by hand."""

import json

import pytest

from skinr1.metrics import forms, outcomes, rationale
from skinr1.metrics.catalogue import catalogue
from skinr1.metrics.estimate import estimates
from skinr1.metrics.meanings import meaning, unknown_names
from skinr1.seven_point import CRITERIA
from tests.skinr1.outcome_rows import ARRAYS, BCC, BLUE, ECZEMA, MELANOMA, NEVUS, TREE, full_row, row, seen

BENIGN, MALIGNANT = "neoplasm/benign", "neoplasm/malignant"
OPTIONS = [[NEVUS], [MELANOMA], [ECZEMA], [BCC]]


def form_row(number, truth, form, answer, **more):
    return row(number, truth, None) | {"form": form, "text": answer, **more}


def choice(number, truth, place, options=OPTIONS, form="choice"):
    answer = place if isinstance(place, str) else json.dumps({"choice": place})
    return form_row(number, truth, form, answer, options=options)


def numbers(rows):
    found = forms.metrics(outcomes(rows, TREE), TREE)
    return {name: estimate.value for name, estimate in estimates(found, seen(rows), resamples=20).items()}


def test_choices_by_hand():
    """Right, wrong, invalid, no option: one in four is right, and one in two named an option."""
    rows = [choice(0, NEVUS, 1), choice(1, NEVUS, 2), choice(2, NEVUS, "the first"), choice(3, NEVUS, 5)]
    found = numbers(rows)
    assert found["choice_accuracy"] == 0.25 and found["option_given_rate"] == 0.5 and found["chance_level"] == 0.25


def test_invalid_answers_stay_in_every_denominator():
    rows = [choice(0, NEVUS, 1), choice(1, NEVUS, "nothing")]
    steps = [{"options": [["neoplasm"], [ECZEMA]], "text": "nothing", "finish_reason": "stop"}]
    rows += [form_row(2, NEVUS, "descent", "nothing", steps=steps)]
    checked = full_row(3, NEVUS, NEVUS) | {"form": "checklist", "text": "nothing"}
    found = estimates(forms.metrics(outcomes([*rows, checked], TREE), TREE), seen([*rows, checked]), resamples=20)
    assert (found["choice_accuracy"].value, found["choice_accuracy"].n) == (0.5, 2)
    assert (found["step_accuracy"].value, found["step_accuracy"].n) == (0, 1)
    assert (found["whole_walk_rate"].value, found["whole_walk_rate"].n) == (0, 1)
    assert (found["seven_point_error"].value, found["seven_point_error"].n) == (8, 1)  # 2 points, and 10 is as far off
    every = {name: e.n for name, e in estimates(catalogue(ARRAYS), seen([*rows, checked]), resamples=20).items()}
    assert every["valid_report_rate"] == every["top1"] == 4


def test_a_choice_may_be_answered_with_a_report():
    rows = [row(0, NEVUS, NEVUS) | {"options": OPTIONS}, row(1, NEVUS, BLUE) | {"options": OPTIONS}]
    found = numbers(rows)
    assert found["option_given_rate"] == 0.5  # blue nevus is no option, and none of them lies above it
    assert found["choice_accuracy"] == 0.5


@pytest.mark.parametrize(
    ("options", "truths", "best"),
    [
        ([["neoplasm"], [BENIGN], [ECZEMA]], [NEVUS], {1}),  # the deepest above the label
        ([["neoplasm"], [NEVUS], [BCC]], ["neoplasm/benign/melanocytic"], {0, 1}),  # what lies below it is right too
        ([["neoplasm"], [NEVUS], ["neoplasm/benign/melanocytic"]], ["neoplasm/benign/melanocytic"], {1, 2}),
        ([[BENIGN], [NEVUS, BCC]], [BCC], {1}),
        ([[BENIGN], [MALIGNANT], [ECZEMA]], [NEVUS, BCC], {0, 1}),
        ([[ECZEMA], [BCC]], [NEVUS], set()),
    ],
)
def test_the_best_options(options, truths, best):
    assert forms.best_options(options, truths, TREE) == best


def test_levels_are_told_apart():
    top, second = [["neoplasm"], [ECZEMA.partition("/")[0]]], [[BENIGN], [MALIGNANT]]
    rows = [choice(0, NEVUS, 1, top), choice(1, NEVUS, 1, second), choice(2, NEVUS, 2, second)]
    found = numbers(rows)
    assert found["choice_accuracy_level_1"] == 1 and found["choice_accuracy_level_2"] == 0.5
    assert "choice_accuracy_level_3" not in found


def test_a_lineage_is_answered_by_its_names():
    """Two of one way among strangers: the deeper of the related pair is right without a look. Balanced ones: not so."""
    lineage = [[BENIGN], [NEVUS], [BCC], [ECZEMA]]
    assert numbers([choice(0, NEVUS, 3, lineage)])["shortcut_accuracy"] == 1
    block = [[NEVUS], [BLUE], [BCC], [ECZEMA]]
    truths = (NEVUS, BLUE, BCC, ECZEMA)
    assert numbers([choice(n, truth, 1, block) for n, truth in enumerate(truths)])["shortcut_accuracy"] == 0.25


def test_a_star_of_rivals_is_answered_by_the_graph():
    """Nevus, set against each of the others that are not set against one another; then all against all."""
    star = {NEVUS: {BLUE, BCC}, BLUE: {NEVUS}, BCC: {NEVUS}}
    triangle = {NEVUS: {BLUE, BCC}, BLUE: {NEVUS, BCC}, BCC: {NEVUS, BLUE}}
    rows = [choice(n, truth, 1, [[BLUE], [NEVUS], [BCC]]) for n, truth in enumerate((NEVUS, BLUE, BCC))]

    def hub(rows, rivals):
        found = forms.metrics(outcomes(rows, TREE), TREE, rivals)
        return {name: e.value for name, e in estimates(found, seen(rows), resamples=5).items()}.get(
            "rivals_shortcut_accuracy"
        )

    assert (hub(rows[:1], star), hub(rows, triangle), hub(rows, None)) == (1, pytest.approx(1 / 3, abs=1e-6), None)


def final(letter):
    return f"<thinking>x</thinking> <final diagnosis>{letter}</final diagnosis>"


def test_the_same_answers_by_both_parsers():
    """ "Option A" is I to the released parser and nothing to ours; the key A; "A: nevus" is A to both."""
    rows = [choice(0, NEVUS, final("A: nevus"), form="letter"), choice(1, NEVUS, final("Option A"), form="letter")]
    rows += [choice(2, NEVUS, final("a"), form="letter")]
    found = numbers(rows)
    assert found["released_parser_accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["choice_accuracy"] == pytest.approx(1 / 3, abs=1e-6)


def test_the_released_key_is_the_deepest_option_on_the_way():
    """Blue nevus, asked about its group: the subtype is right here, wrong there."""
    options = [["neoplasm"], ["neoplasm/benign/melanocytic"], [BLUE]]
    found = numbers([choice(0, "neoplasm/benign/melanocytic", final("C"), options, "letter")])
    assert found["choice_accuracy"] == 1 and found["released_parser_accuracy"] == 0


def test_released_conditions_are_inverted():
    rows = [form_row(0, NEVUS, "condition_letter", final("benign")), form_row(1, BCC, "condition_letter", final("B"))]
    rows += [form_row(2, ECZEMA, "condition_letter", final("A"))]  # no growth: there is no right letter
    found = estimates(forms.metrics(outcomes(rows, TREE), TREE), seen(rows), resamples=20)
    assert (found["released_parser_accuracy"].value, found["released_parser_accuracy"].n) == (0.5, 2)


def walk(number, truth, *rounds):
    """Each round: options, and the place that is named."""
    steps = [{"options": options, "text": json.dumps({"choice": place})} for options, place in rounds]
    return form_row(number, truth, "descent", steps[-1]["text"], steps=steps)


TOP = [["neoplasm"], [ECZEMA]]
SIDES = [[BENIGN], [MALIGNANT]]
NEVI = [[NEVUS], [BLUE]]
CANCERS = [[MELANOMA], [BCC]]


def test_descents_by_hand():
    """All right: 3 of 3. Right, then wrong, then a round that nothing could save: 1 of 2. Wrong at once: 0 of 1."""
    rows = [
        walk(0, NEVUS, (TOP, 1), (SIDES, 1), (NEVI, 1)),
        walk(1, NEVUS, (TOP, 1), (SIDES, 2), (CANCERS, 1)),
        walk(2, NEVUS, (TOP, 2)),
    ]
    found = numbers(rows)
    assert found["step_accuracy"] == pytest.approx(4 / 6, abs=1e-6)
    assert found["whole_walk_rate"] == pytest.approx(1 / 3, abs=1e-6)


def test_below_the_label_nothing_can_go_wrong():
    found = numbers([walk(0, BENIGN, (TOP, 1), (SIDES, 1), (NEVI, 2))])
    assert found["step_accuracy"] == 1 and found["whole_walk_rate"] == 1


def test_stopping_too_early_is_wrong():
    stay = [*NEVI, ["neoplasm/benign/melanocytic"]]
    found = numbers([walk(0, NEVUS, (TOP, 1), (stay, 3)), walk(1, "neoplasm/benign/melanocytic", (TOP, 1), (stay, 3))])
    assert found["step_accuracy"] == pytest.approx(2 / 3, abs=1e-6)  # the last round of the second cannot go wrong
    assert found["whole_walk_rate"] == 0.5


def test_seven_point_error_by_hand():
    """Annotated: an irregular network, 2 points. Said: veil and network, 4; nothing, 0; the same, 2."""
    absent = dict.fromkeys(CRITERIA, "absent")
    said = [absent | {"pigment_network": "atypical", "blue_whitish_veil": "present"}, absent]
    said += [absent | {"pigment_network": "atypical"}]
    rows = [full_row(n, NEVUS, NEVUS) | {"form": "checklist", "text": json.dumps(s)} for n, s in enumerate(said)]
    assert numbers(rows)["seven_point_error"] == pytest.approx((2 + 2 + 0) / 3, abs=1e-6)
    found = {name: e.value for name, e in estimates(catalogue(ARRAYS), seen(rows), resamples=5).items()}
    assert found["checklist_field_accuracy"] == pytest.approx((6 + 6 + 7) / 21, abs=1e-6)


def test_a_condition_is_scored_without_a_diagnosis():
    rows = [form_row(0, BCC, "condition", '{"condition": "malignant"}')]
    rows += [form_row(1, NEVUS, "condition", '{"condition": "malignant"}'), form_row(2, BCC, "condition", "malignant")]
    found = {name: e.value for name, e in estimates(catalogue(ARRAYS), seen(rows), resamples=5).items()}
    assert found["condition_accuracy"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["malignancy_sensitivity"] == 0.5 and found["malignancy_specificity"] == 0
    assert found["diagnosis_given_rate"] == 0


def test_six_ranks_are_scored():
    nodes = [node for node in TREE.leaves if node != BCC][:5]
    entries = [{"diagnosis": node, "probability": 0.1} for node in [*nodes, BCC]]
    rows = [form_row(0, BCC, "differential", json.dumps({"differential": entries}))]
    found = {name: e.value for name, e in estimates(catalogue(ARRAYS), seen(rows), resamples=5).items()}
    assert (found["top5"], found["top6"], found["mrr"]) == (0, 1, pytest.approx(1 / 6, abs=1e-6))


def ranked(number, *names):
    entries = [{"diagnosis": name, "probability": 0.1} for name in names]
    return form_row(number, NEVUS, "differential", json.dumps({"differential": entries}))


def test_unknown_names_are_counted_by_hand():
    rows = [ranked(0, NEVUS, "pox", BCC), ranked(1, "pox"), ranked(2, NEVUS, "plague"), ranked(3, NEVUS)]
    rows += [form_row(4, NEVUS, "differential", "no list")]
    found = forms.unknown(outcomes(rows, TREE), TREE)["differential"]
    assert found.pop("most_frequent") == [["pox", 2], ["plague", 1]]
    assert found == {"answers": 5, "with_unknown": 3, "names": 3, "distinct": 2, "cut": 2, "invalid": 1, "lost": 1}
    signs = forms.unknown(outcomes([form_row(0, NEVUS, "signs", '{"signs": ["papule", "pimple"]}')], TREE), TREE)
    assert [signs["signs"][key] for key in ("names", "invalid", "cut", "lost")] == [1, 1, 0, 1]
    assert "vocabulary of signs: 1 in 1 of 1 answers (“pimple” 1)" in unknown_names(signs)[0]
    assert forms.unknown(outcomes([choice(0, NEVUS, 1)], TREE), TREE) == {}


def test_few_of_many_unknown_names_are_quoted_and_the_others_counted():
    found = forms.unknown(outcomes([ranked(n, f"{n}{'x' * 60}") for n in range(30)], TREE), TREE)
    assert found["differential"]["distinct"] == 30 and len(found["differential"]["most_frequent"]) == 20
    assert "…” 1 and 25 others)" in unknown_names(found)[0]


def test_every_metric_that_a_task_may_count_has_a_meaning():
    every = (*catalogue(ARRAYS), *rationale.metrics({}))
    lines = {name: meaning(name) for name in (*(metric.name for metric in every), *forms.NAMES)}
    assert all(line and "\n" not in line and len(line) <= 100 for line in lines.values())
    less = {metric.name for metric in every if not metric.higher} | {"seven_point_error"}
    assert {name for name, line in lines.items() if "less is better" in line} == less


def test_rows_without_a_form_have_no_such_metric():
    assert forms.metrics(outcomes([row(0, NEVUS, NEVUS)], TREE), TREE) == ()
