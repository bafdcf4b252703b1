"""dsco: dataset distillation and dataset concentration.

The public names are loaded when first used, so that `import dsco` stays quick."""
__version__ = "0.1.0"

import importlib
import sys
import types

_HOMES = {
    "load_data": "data", "ImageSet": "data", "Data": "data",
    "Prior": "prior",
    "concentrate": "concentrate", "ConcentratedSet": "concentrate",
    "evaluate": "training",
    "plan": "planning", "Plan": "planning",
    "distill": "distillation", "Malicious": "attack",
    **dict.fromkeys(("Schedule", "Window", "Known", "Random", "Pool", "Pixels", "Noise", "Outer"), "choices"),
    **dict.fromkeys(("train_with_schedule", "evaluate_with_schedule", "with_schedule"), "schedules"),
}
__all__ = sorted(_HOMES)


class _Package(types.ModuleType):
    "`dsco.concentrate` is the function, also after the submodule of that name has been imported."

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)

    def __getattr__(self, name: str):
        if name not in _HOMES:
            raise AttributeError(f"module 'dsco' has no attribute {name!r}")
        return getattr(importlib.import_module(f"dsco.{_HOMES[name]}"), name)


sys.modules[__name__].__class__ = _Package
