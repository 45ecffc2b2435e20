"""Leak-proof splits: cases of one patient, one lesion or one picture stay together, and the audit that proves it."""

from skinr1.splits.assigning import assign, plan
from skinr1.splits.auditing import Sight, audit, report
from skinr1.splits.grouping import CasePair, groups
from skinr1.splits.official import Conflict, conflicts
from skinr1.splits.roles import plan_by_role

__all__ = ["CasePair", "groups", "assign", "plan", "plan_by_role", "Conflict", "conflicts", "Sight", "audit", "report"]
