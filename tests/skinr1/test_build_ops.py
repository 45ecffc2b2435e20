"""Locks of killed compilations are forgotten, those of running ones are not."""

import os
import time

from skinr1.training.build_ops import LONGEST, forget_killed


def test_only_an_old_lock_is_removed(tmp_path, capsys):
    old, new = (tmp_path / "py311_cpu" / name / "lock" for name in ("deepspeed_shm_comm", "deepspeed_cpu_adam"))
    for lock in (old, new):
        lock.parent.mkdir(parents=True)
        lock.touch()
    os.utime(old, (time.time() - LONGEST - 60,) * 2)
    forget_killed(tmp_path)
    assert new.exists() and not old.exists()
    assert str(old) in capsys.readouterr().out
