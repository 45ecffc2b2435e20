"""Asking a language model many questions: at most once each, through any OpenAI-compatible endpoint.

- :mod:`skinr1.llm.endpoint` sends one request until it is answered: slots, back-off, Retry-After.
- :mod:`skinr1.llm.responses` reads what came back: an answer, a complaint, when to come again.
- :mod:`skinr1.llm.connections` lends each request under way a connection of its own.
- :mod:`skinr1.llm.cache` keeps every answer under the hash of its request, images included.
- :mod:`skinr1.llm.client` joins both: an answered request is never sent again, not even after kill -9.
- :mod:`skinr1.llm.answers` is the one place where free text and verdicts of a model are read. Reports are not read
  here: that is for :mod:`skinr1.report`, and only for it.
- :mod:`skinr1.llm.usage` counts tokens and what they cost.
"""

from skinr1.llm.cache import Cache, Completion, request_key
from skinr1.llm.client import Client
from skinr1.llm.endpoint import Endpoint, Refused
from skinr1.llm.ordered import ordered
from skinr1.llm.usage import Usage

__all__ = ["Cache", "Client", "Completion", "Endpoint", "Refused", "Usage", "ordered", "request_key"]
