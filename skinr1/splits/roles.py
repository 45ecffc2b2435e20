"""The split of one data set by roles: labelled cases are divided, captions teach sight only and are trained on."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from skinr1.cases import Case, Role, Split
from skinr1.splits.assigning import plan
from skinr1.splits.grouping import CasePair, Union


def plan_by_role(
    read: Callable[[], Iterable[Case]], fractions: Mapping[str, float], seed: int, pairs: Sequence[CasePair] = ()
) -> tuple[list[Split], int]:
    """The split of each case, and how many groups they form.

    A group with a labelled case, or with a split of its own, is divided by :func:`skinr1.splits.plan`; any other group
    is nothing but captions and goes to train. A data set whose authors published all of it as test stays so.

    Args:
        read: yields the cases; called twice, and nothing but ids and kinds is kept of them.
        pairs: near-duplicates, as for :func:`skinr1.splits.groups`.

    Raises:
        UserError: as :func:`skinr1.splits.plan`.
    """
    union, divisible, all_test = Union(pairs), bytearray(), True
    for case in read():
        union.add(case)
        divisible.append(case.role is not Role.CAPTION or case.split is not None)
        all_test = all_test and case.split == "test"
    group_of = union.names()
    count = len(set(group_of))
    if all_test:
        return ["test"] * len(group_of), count
    divided = {group for group, is_divisible in zip(group_of, divisible, strict=True) if is_divisible}
    chosen = bytearray(group in divided for group in group_of)
    del union, group_of, divided

    def free() -> Iterator[Case]:
        yield from (case for case, is_chosen in zip(read(), chosen, strict=True) if is_chosen)

    planned = iter(plan(free(), fractions, seed, pairs)) if any(chosen) else iter(())
    return [next(planned) if is_chosen else "train" for is_chosen in chosen], count
