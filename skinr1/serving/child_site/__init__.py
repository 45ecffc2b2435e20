"""A folder that goes on the PYTHONPATH of vLLM's processes; see ``sitecustomize.py``."""
