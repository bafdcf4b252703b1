"""dsco: dataset distillation and dataset concentration.

The public names are loaded when first used, so that `import dsco` stays quick."""
__version__ = "0.1.0"

import importlib

_HOMES = {
    "load_data": "data", "ImageSet": "data", "Data": "data",
    "ConcentratedSet": "sets",
    "Prior": "prior",
    "concentrate": "concentration",
    "evaluate": "training",
    "plan": "planning", "Plan": "planning",
    "distill": "distillation", "Malicious": "attack",
    **dict.fromkeys(("Schedule", "Window", "Known", "Random", "Pool", "Pixels", "Noise", "Outer"),
                    "choices"),
    **dict.fromkeys(("train_with_schedule", "evaluate_with_schedule", "with_schedule"), "schedules"),
}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'dsco' has no attribute {name!r}")
    return getattr(importlib.import_module(f"dsco.{_HOMES[name]}"), name)
