"""argparse for verbs with actions of their own (``skinr1 taxonomy show``, ``skinr1 data card``)."""

import argparse
from typing import NoReturn

from skinr1.errors import UserError


class Parser(argparse.ArgumentParser):
    """argparse, whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message, self.prog, f"`{self.prog} --help` shows what there is.")
