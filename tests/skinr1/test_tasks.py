"""Tasks: their files, the options of their questions, and the walk down the tree."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinr1 import prompts
from skinr1.cases import Case, Finding
from skinr1.errors import UserError
from skinr1.knowledge import Edge, Knowledge
from skinr1.metrics.forms import best_options
from skinr1.predictions import Asker, prediction_row
from skinr1.questions.shortcuts import deepest_related_pair, most_rivals
from skinr1.serving.client import Completion, Sampling
from skinr1.seven_point import CRITERIA
from skinr1.tasks import Item, Questions, TaskAsker, load_task
from skinr1.tasks.asking import task_row
from skinr1.tasks.descent import Branches, descend
from skinr1.tasks.options import questions
from skinr1.tasks.run import check_metrics
from skinr1.tasks.task import Task
from skinr1.taxonomy import Taxonomy
from tests.skinr1.outcome_rows import BCC, BLUE, ECZEMA, INFECTION, KERATOSIS, MELANOMA, NEVUS, TREE

SHIPPED = sorted((Path(__file__).parents[2] / "eval" / "tasks").rglob("*.yaml"))
SNAPSHOT = Path(__file__).parents[1] / "snapshots" / "tasks.json"
LEAVES = (NEVUS, BLUE, KERATOSIS, MELANOMA, BCC, ECZEMA, INFECTION)
FULL = Taxonomy.load()


def case(number, *nodes, **more):
    given = {"case_id": f"c{number:03}", "source": "s", "images": ("a.png",), "role": "sparse", "licence": "CC0"}
    return Case(**{**given, "diagnoses": nodes, **more})


def task(kind=None, form="choice", **more):
    given = {"name": "t", "version": 1, "about": "a", "metrics": ["top1"], "prompt": "{options}" if kind else "which?"}
    return Task(**{**given, "form": form, "options": {"kind": kind} if kind else None, **more})


def names(item):
    return [option[0] for option in item.options]


def spread(count, leaves=LEAVES):
    return [case(number, leaves[number % len(leaves)]) for number in range(count)]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_tasks_can_be_asked_and_scored(path):
    made = load_task(path)
    assert made.name == path.stem
    check_metrics(made, FULL)
    edge = Knowledge.primer(FULL).edges[0]
    told = {"modality": "dermoscopic", "findings": [{"concept": "papule"}], "source": (made.data.sources or ("s",))[0]}
    told["findings"] += [
        {"concept": name, "present": False}
        for values in CRITERIA.values()
        for counts, name in values.values()
        if counts
    ]
    nodes = [edge.diagnosis, edge.rival, "inflammatory", *FULL.leaves[::40]]
    asked = Questions.of(made, [case(n, nodes[n % len(nodes)], **told) for n in range(80)], FULL, 17, None)
    asker = TaskAsker(Asker(Path(), "m", Sampling(), FULL), made)
    assert all("{" not in asker.words(item).replace('{"', "").replace("{'", "") for item in asked.items)


def test_words_of_shipped_tasks_are_those_of_their_version():
    """Changed words need a new version; then delete the snapshot's entry and write it anew."""
    told = case(0, NEVUS, age=61, sex="female", site="forearm", history=("itch",), modality="clinical")
    node = "neoplasm/benign/melanocytic/common_nevus"
    options = ((node,), ("inflammatory/eczematous/dermatitis/nummular_eczema",))
    found = {}
    for path in SHIPPED:
        made = load_task(path)
        asker = TaskAsker(Asker(Path(), "m", Sampling(), FULL), made)
        shown = options if made.options or made.form == "descent" else ()
        system = prompts.SYSTEM if made.system is None else made.system
        found[f"{made.name} v{made.version}"] = [system, asker.words(Item("c", told, shown))]
    assert SNAPSHOT.is_file(), f"write {SNAPSHOT.name} with these words"
    assert found == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_what_models_are_trained_on_is_asked_in_the_words_of_training():
    told = case(0, NEVUS, age=61)
    by_name = {path.stem: load_task(path) for path in SHIPPED}
    asker = Asker(Path(), "m", Sampling(), FULL)
    assert TaskAsker(asker, by_name["open_diagnosis"]).words(Item("c", told)) == prompts.question(told)
    assert TaskAsker(asker, by_name["description"]).words(Item("c", told)) == prompts.description_question(told)
    node = "neoplasm/benign/melanocytic/common_nevus"
    choice = TaskAsker(asker, by_name["choice_report"]).words(Item("c", told, ((node,), ("inflammatory",))))
    assert choice == prompts.choice_question(told, [FULL.node(node).name, FULL.node("inflammatory").name])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"prompt": "{optoins}"}, "optoins"),
        ({"prompt": None}, "prompt is missing"),
        ({"form": "choice", "options": None}, "needs options"),
        ({"form": "signs"}, "takes no options"),
        ({"prompt": "which?"}, "if and only if"),
        ({"form": "essay"}, "form"),
        ({"metrics": []}, "metrics"),
        ({"colour": "red"}, "colour"),
        ({"options": {"kind": "level", "size": 1}}, "size"),
    ],
)
def test_a_wrong_task_is_one_line(tmp_path, changed, message):
    good = {"version": 1, "about": "a", "form": "choice", "prompt": "{options}", "options": {"kind": "level"}}
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps({**good, "metrics": ["top1"], **changed}))
    with pytest.raises(UserError, match=message) as caught:
        load_task(path)
    assert "\n" not in str(caught.value)


def test_a_missing_or_unreadable_task(tmp_path):
    for content in ("a: [", "- 1"):
        (tmp_path / "t.yaml").write_text(content)
        with pytest.raises(UserError, match=r"YAML|mapping"):
            load_task(tmp_path / "t.yaml")
    with pytest.raises(UserError, match="not found"):
        load_task(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="unknown metric"):
        Questions.of(task("level", metrics=["top_1"]), spread(4), TREE, 0, None)


def test_data_are_filtered_counted_and_told():
    cases = [case(0, NEVUS, modality="clinical"), case(1, NEVUS, source="other"), case(2, BCC, modality="dermoscopic")]
    only = task(form="signs", data={"sources": ["s"], "modality": "dermoscopic"})
    asked = Questions.of(only, cases, TREE, 0, None)
    assert [item.case_id for item in asked.items] == ["c002"]
    assert asked.reasons == {"not dermoscopic": 1, "of another source": 1}
    with pytest.raises(UserError, match=r"nothing to ask: not dermoscopic \(1\)"):
        Questions.of(only, cases[:1], TREE, 0, None)
    annotated = case(3, NEVUS, findings=(Finding(concept="papule"),))
    kept = questions(task(form="signs", data={"annotated": "signs"}), [annotated, case(4, NEVUS)], TREE, 0)
    assert [item.case_id for item in kept[0]] == ["c003"] and kept[1][0].reason == "no annotated sign"
    assert not questions(task(form="checklist", data={"annotated": "checklist"}), [annotated], TREE, 0)[0]


def test_levels_show_every_node_that_occurs():
    cases = [case(0, NEVUS), case(1, BCC), case(2, ECZEMA), case(3, "neoplasm/benign")]
    items, left = questions(task("level"), cases, TREE, 0)
    by_id = {item.case_id: item for item in items}
    assert sorted(names(by_id["c000#level-1"])) == ["inflammatory", "neoplasm"]
    assert sorted(names(by_id["c000#level-2"])) == [ECZEMA, "neoplasm/benign", "neoplasm/malignant"]
    assert "c003#level-3" not in by_id  # the label does not say so much
    assert [(one.case_id, one.reason) for one in left] == [("c000#level-4", "one node at this level")]


def graph(*pairs):
    return Knowledge({}, (), tuple(Edge(one, other, (), "p") for one, other in pairs))


def test_rivals_are_those_of_the_textbook_and_of_one_another():
    knowledge = graph((NEVUS, MELANOMA), (BCC, NEVUS), (MELANOMA, BCC), (NEVUS, BLUE), (NEVUS, "neoplasm"))
    cases = [case(0, NEVUS), case(1, MELANOMA), case(2, BCC), case(3, ECZEMA), case(4, "neoplasm"), case(5, BLUE)]
    items, left = questions(task("rivals"), [*cases, case(6, NEVUS)], TREE, 0, knowledge)
    shown = Counter(frozenset(names(item)) for item in items)
    assert shown == {frozenset({NEVUS, MELANOMA, BCC}): 3, frozenset({NEVUS, BLUE}): 2}  # either direction; none above
    assert [(one.case_id, one.reason) for one in left] == [
        ("c003", "no block of rivals has room"),
        ("c004", "no block of rivals has room"),
    ]


def test_a_label_of_several_nodes_may_be_a_rival_as_well():
    """ "nevus or blue nevus" is an option of the melanoma's question too: that it has two names tells nothing."""
    items, _ = questions(task("rivals"), [case(0, NEVUS, BLUE), case(1, MELANOMA)], TREE, 0, graph((BLUE, MELANOMA)))
    assert {frozenset(item.options) for item in items} == {frozenset({(NEVUS, BLUE), (MELANOMA,)})}


def found_by(items, solve):
    return sum(item.options[solve(item.options)] == item.case.diagnoses for item in items)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.sampled_from(LEAVES), min_size=1, max_size=24),
    st.sets(st.sampled_from([(one, other) for one in LEAVES for other in LEAVES if one < other])),
    st.integers(0, 3),
)
def test_no_graph_tells_the_truth_from_its_rivals(leaves, pairs, seed):
    """Whoever knows the graph and sees the options is right as often as by drawing one of them, exactly."""
    knowledge = graph(*sorted(pairs))
    cases = [case(number, node) for number, node in enumerate(leaves)]
    items, left = questions(task("rivals"), cases, TREE, seed, knowledge)
    assert (items, left) == questions(task("rivals"), cases, TREE, seed, graph(*((b, a) for a, b in sorted(pairs))))
    assert sorted([item.case_id for item in items] + [one.case_id for one in left]) == [c.case_id for c in cases]
    for item in items:
        shown = names(item)
        assert all(tuple(sorted((a, b))) in pairs for a in shown for b in shown if a != b) and len(shown) > 1
    chance = sum(1 / len(item.options) for item in items)
    assert found_by(items, lambda options: most_rivals(options, knowledge.rivals())) == pytest.approx(chance)


def test_of_the_shipped_textbook_the_hub_is_near_chance():
    knowledge = Knowledge.primer(FULL)
    rivals = knowledge.rivals()
    cases = [case(n, node) for n, node in enumerate(sorted(rivals) * 3)]
    items, left = questions(load_task(next(p for p in SHIPPED if p.stem == "ddx_choice")), cases, FULL, 17, knowledge)
    assert len(items) > len(left)
    chance = sum(1 / len(item.options) for item in items)
    assert found_by(items, lambda options: most_rivals(options, rivals)) == pytest.approx(chance)
    star = [(node, *sorted(rivals[node])) for node in sorted(rivals)]  # the truth and its own rivals, as it once was
    hits = sum(
        most_rivals([(node,) for node in sorted(options)], rivals) == sorted(options).index(options[0])
        for options in star
    )
    assert hits > 0.8 * len(star)


def test_conditions_without_a_letter_are_left_out():
    items, left = questions(
        task(form="condition_letter"), [case(0, NEVUS), case(1, ECZEMA), case(2, NEVUS, BCC)], TREE, 0
    )
    assert [item.case_id for item in items] == ["c000"]
    assert [(one.case_id, one.reason) for one in left] == [(c, "no letter for its condition") for c in ("c001", "c002")]


def test_own_way_is_all_that_a_path_shows():
    items, left = questions(task("path"), [case(0, NEVUS), case(1, "neoplasm")], TREE, 0)
    assert sorted(names(items[0])) == list(TREE.path(NEVUS)) and left[0].case_id == "c001"


def test_two_ways_in_the_same_order_for_either():
    items, _ = questions(task("paths"), [case(0, NEVUS), case(1, BCC)], TREE, 0)
    assert items[0].options == items[1].options
    assert set(names(items[0])) == {*TREE.path(NEVUS), *TREE.path(BCC)}


def test_a_lineage_is_what_the_reference_draws():
    items, _ = questions(task("lineage"), spread(300), TREE, 0)
    right = Counter()
    for item in items:
        way = TREE.path(item.case.diagnoses[0])
        assert len(set(names(item))) == 4
        right[len(set(names(item)) & set(way))] += 1
    assert set(right) == {1, 2, 3}
    best = [best_options(item.options, item.case.diagnoses, TREE) for item in items]
    hits = sum(deepest_related_pair(item.options, TREE, {}) in right for item, right in zip(items, best, strict=True))
    chance = sum(len(right) / len(item.options) for item, right in zip(items, best, strict=True))
    assert hits > 1.4 * chance  # the shortcut that a block does not have


def test_letters_run_out():
    leaves = [node for node in FULL.leaves if FULL.node(node).depth == 4][:40]
    items, left = questions(task("level", form="letter"), [case(n, node) for n, node in enumerate(leaves)], FULL, 0)
    assert "c000#level-4" not in {item.case_id for item in items}
    assert ("c000#level-4", "more options than letters") in {(one.case_id, one.reason) for one in left}


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.sampled_from(LEAVES), min_size=1, max_size=20),
    st.integers(0, 3),
    st.sampled_from(["level", "block", "path", "paths", "lineage"]),
)
def test_questions_do_not_depend_on_the_order_and_nobody_is_dropped(leaves, seed, kind):
    cases = [case(number, node) for number, node in enumerate(leaves)]
    items, left = questions(task(kind), cases, TREE, seed)
    again, left_again = questions(task(kind), cases[::-1], TREE, seed)
    assert {item.case_id: item for item in items} == {item.case_id: item for item in again}
    assert sorted(left, key=str) == sorted(left_again, key=str)
    told = {row.partition("#")[0] for row in [*(item.case_id for item in items), *(one.case_id for one in left)]}
    assert told == {one.case_id for one in cases}
    assert all(len(set(item.options)) == len(item.options) > 1 for item in items)


def test_a_row_carries_what_its_form_needs():
    item = Item("c#level-1", case(0, NEVUS), ((NEVUS,), (BCC,)))
    found = task_row(task("level"), item, Completion("x", "stop"), TREE)
    assert (found["case_id"], found["form"], found["options"]) == ("c#level-1", "choice", [[NEVUS], [BCC]])
    report = Task(name="t", version=1, about="a", form="report", metrics=("top1",))
    assert task_row(report, Item("c000", item.case), Completion("x", "stop"), TREE) == prediction_row(
        item.case, Completion("x", "stop"), TREE
    )


def knows(truths):
    """A model that goes the right way, and says so in numbers."""

    async def ask(items):
        found = {}
        for item in items:
            way = TREE.path(truths[item.case_id])
            place = max(
                range(len(item.options)),
                key=lambda place: way.index(item.options[place][0]) if item.options[place][0] in way else -1,
            )
            found[item.case_id] = Completion(json.dumps({"choice": place + 1}), "stop")
        return found

    return ask


def test_a_descent_ends_at_the_label():
    cases = spread(14)
    items = [Item(one.case_id, one) for one in cases]
    steps = asyncio.run(descend(items, knows({one.case_id: one.diagnoses[0] for one in cases}), TREE, 0))
    for one in cases:
        last = steps[one.case_id][-1]
        assert last.options[json.loads(last.text)["choice"] - 1] == one.diagnoses
    assert len(steps["c005"]) == 1  # eczema is the only inflammation, so its group is passed over
    assert len(steps["c000"]) == 4  # neoplasm; benign; melanocytic, not keratosis; nevus, not blue nevus


def test_an_invalid_answer_ends_the_walk():
    async def ask(items):
        return {item.case_id: Completion("who knows", "stop") for item in items}

    steps = asyncio.run(descend([Item(one.case_id, one) for one in spread(7)], ask, TREE, 0))
    assert all(len(found) == 1 for found in steps.values())


def test_labels_above_others_can_be_stopped_at():
    branches = Branches([NEVUS, BLUE, "neoplasm/benign/melanocytic"], TREE)
    assert branches.start == "neoplasm/benign/melanocytic"
    assert branches.options(branches.start) == ((BLUE,), (NEVUS,), ("neoplasm/benign/melanocytic",))
    assert branches.options(NEVUS) == ()
    cases = [case(0, NEVUS), case(1, BLUE), case(2, "neoplasm/benign/melanocytic")]
    truths = {one.case_id: one.diagnoses[0] for one in cases}
    steps = asyncio.run(descend([Item(one.case_id, one) for one in cases], knows(truths), TREE, 0))
    assert [len(found) for found in steps.values()] == [1, 1, 1]


def test_labels_that_do_not_branch():
    with pytest.raises(UserError, match="do not branch"):
        asyncio.run(descend([Item("c000", case(0, NEVUS))], knows({}), TREE, 0))
