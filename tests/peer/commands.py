"""Prints what the reference's command line takes, as JSON.

Variables of the environment that stand in for options are found by answering each that the reference
asks for, while it defines its options, with its own name.
"""

import json
import os
import sys

asked = os.environ.get


def name_for_value(name, default=None):
    asks = sys._getframe(1).f_globals.get("__name__")
    return name if asks == "esptool" and name.startswith("ESPTOOL_") else asked(name, default)


def parameter(one):
    kind = one.type
    return {
        "names": [*one.opts, *one.secondary_opts],
        "argument": one.param_type_name == "argument",
        "required": one.required,
        "many": one.nargs == -1,
        "takes": "nothing"
        if getattr(one, "is_flag", False)
        else "words"
        if type(one).__name__ == "OptionEatAll"
        else "one",
        "kind": type(kind).__name__,
        "choices": list(getattr(kind, "choices", None) or []),
        "default": str(one.default) if isinstance(one.default, (str, int)) else "",
        "hidden": bool(getattr(one, "hidden", False)),
    }


def command(one):
    return {"hidden": one.hidden, "parameters": [parameter(each) for each in one.params]}


os.environ.get = name_for_value if "variables" in sys.argv else asked
import esptool  # noqa: E402

group = esptool.cli
print(
    json.dumps(
        {
            "group": command(group),
            "commands": {name: command(one) for name, one in group.commands.items()},
            "renamed": group.DEPRECATED_OPTIONS,
        }
    )
)
