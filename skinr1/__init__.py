"""Textbook-grounded reasoning about skin images. Research software, not a medical device."""

__version__ = "0.1.0"
