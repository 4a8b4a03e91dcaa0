"""What connectors have learned about their devices, kept across restarts in a file of JSON.

None of it is needed: a file that is missing or damaged costs that it is learned again.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

log: Final = logging.getLogger(__name__)


class Learned:
    """The file. It is written only when there is something new, and replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stored: dict[str, Any] = {}

    def load(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what was learned, by name of the device."""
        try:
            kept = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s cannot be read, devices are learned anew: %s", self._path, error)
            return {}
        self._stored = kept if isinstance(kept, dict) else {}
        return {name: learned for name, learned in self._stored.items() if isinstance(learned, dict)}

    def store(self, by_device: Mapping[str, Mapping[str, Any]]) -> None:
        """Write what was learned, if it is not what the file has. Raises OSError."""
        new = {name: dict(learned) for name, learned in by_device.items()}
        if new == self._stored:
            return
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps(new, indent=1), encoding="utf-8")
        beside.replace(self._path)
        self._stored = new
