"""dsco: dataset distillation and dataset concentration.

The public names are loaded when first used, so that `import dsco` stays quick."""
__version__ = "0.1.0"

import importlib

_HOMES = {
    "load_data": "data", "ImageSet": "data", "Data": "data", "ConcentratedSet": "sets",
    "evaluate": "training", "select": "selection", "relabel": "teachers", "Teacher": "teachers",
    "Prior": "prior", "Latents": "latents",
    "concentrate": "concentration", "concentrate_in": "minutes", "Recipe": "recipe", "Auto": "concentration",
    "plan": "planning", "Plan": "planning", "Pilot": "planning",
    "distill": "distillation", "Schedule": "choices", "Window": "choices", "Known": "choices",
    "Random": "choices", "Pool": "choices", "Pixels": "choices", "Noise": "choices",
    "Outer": "choices", "train_with_schedule": "schedules", "with_schedule": "schedules",
    "evaluate_with_schedule": "schedules", "Malicious": "attack",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'dsco' has no attribute {name!r}")
    return getattr(importlib.import_module(f"dsco.{_HOMES[name]}"), name)
