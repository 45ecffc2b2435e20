"""Runs a recipe as a program, then prints how many threads of gloo are left. Not a test: one launches it."""

import runpy
import sys
from pathlib import Path

sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
names = [task.read_text() for task in Path("/proc/self/task").glob("*/comm")]
print("threads of gloo left:", sum("gloo" in name for name in names))
