"""The gateway: the only thing of a served model that the network sees. It checks, limits, asks vLLM, and answers."""
