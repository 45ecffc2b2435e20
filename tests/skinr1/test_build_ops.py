"""Locks of killed compilations are forgotten, those of running ones are not."""

import os
import time

import pytest
from deepspeed.accelerator import get_accelerator

from skinr1.training.build_ops import LONGEST, OPS, forget_killed


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("level", ["py311_cpu", ""])
def test_only_an_old_lock_is_removed(tmp_path, capsys, op: str, level: str):
    name = get_accelerator().create_op_builder(op).name
    old, new = (tmp_path / root / level / name / "lock" for root in ("old", "new"))
    for lock in (old, new):
        lock.parent.mkdir(parents=True)
        lock.touch()
    os.utime(old, (time.time() - LONGEST - 60,) * 2)
    for root in ("old", "new"):
        forget_killed(tmp_path / root, name)
    assert new.exists() and not old.exists()
    assert str(old) in capsys.readouterr().out
