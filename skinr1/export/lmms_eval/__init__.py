"""The files of an lmms-eval task, copied beside its data by :mod:`skinr1.export.benchmark`."""
