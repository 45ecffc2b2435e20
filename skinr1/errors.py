"""The one error type that reaches a user: what is wrong, where, and what to do, on one line."""


class UserError(ValueError):
    """A problem the user can mend.

    Args:
        what: the fact, e.g. ``"image is truncated"``.
        where: file, row, key or label it concerns.
        do: the next step for the reader.
    """

    def __init__(self, what: str, where: str, do: str):
        self.what, self.where, self.do = (" ".join(str(part).split()) for part in (what, where, do))
        super().__init__(f"{self.what}: {self.where}. {self.do}")
