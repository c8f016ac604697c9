"""The values of a sweep's row in the configuration that a run saved."""

from collections.abc import Mapping
from typing import Any


def check_values(config: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    """Find each value of the row; `config` is a part of the configuration, a key a path in it."""
    for key, value in row.items():
        part: Any = config
        for name in () if key == "config" else key.split("."):
            part = part.get("init_args", part)[name]
        assert holds(part, value), f"{key} is not {value}, but {part}"


def holds(config: object, wanted: object) -> bool:
    """Tell if a configuration has these values; a number may have another type."""
    if isinstance(wanted, dict) and isinstance(config, dict):
        config = config if "init_args" in wanted else config.get("init_args", config)
        return all(key in config and holds(config[key], value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(config, list):
        return len(config) == len(wanted) and all(map(holds, config, wanted))
    return config == wanted and isinstance(config, bool) == isinstance(wanted, bool)
