"""A served model: the vLLM process, a client that asks it for reports, and reports as readable text."""
