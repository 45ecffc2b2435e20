"""What a page of the gallery holds, read as a browser would."""

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """What a page holds, and whether its tags close in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.cites: list[tuple[str, str]] = []
        self.articles: list[dict] = []
        self.trajectories: list[str] = []
        self.images: list[dict] = []
        self.scripts = 0
        self.passages: dict[str, str] = {}
        self._href = ""
        self._register = ""
        self.feed(text)
        self.faults += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.faults += [key for key in found if key.startswith("on")]
        self.scripts += tag == "script"
        if tag == "a":
            self.links.append(found["href"])
            self._href = found["href"] if found.get("class") == "cite" else ""
        if tag == "article":
            self.articles.append(found)
        if "data-kind" in found:
            self.trajectories.append(found["data-kind"])
        if tag == "img":
            self.images.append(found)
        if found.get("id", "").startswith("passage-"):
            self._register = found["id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_data(self, data):
        if self.open and self.open[-1] == "code":
            if self._register and "dt" in self.open:
                self.passages[self._register] = data
                self._register = ""
            elif "a" in self.open:
                self.cites.append((self._href.removeprefix("#"), data))
