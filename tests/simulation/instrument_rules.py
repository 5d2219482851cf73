"""What must hold for instruments besides the rules for any driver."""

from __future__ import annotations

from indianyio.testing.simulation import Rule, Written
from indianyio.testing.simulation._write_rules import is_abort

_REST_SECONDS = 5.0


class AbortsEndEverything(Rule):
    """Five seconds after an Abort nothing of the device is Busy any more, unless something was written since.

    For instruments whose Abort stops all that they do. What was written while the line garbled may be anything, an
    order to move too.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._due: dict[str, float] = {}

    def wrote(self, written: Written) -> None:
        """Note until when all must have ended."""
        device, name = written.wish.key
        if written.is_certain and not written.wish.flaw and is_abort(name, self.scene.aborts):
            self._due[device] = self.scene.troubled_until(written.at, _REST_SECONDS)
        else:
            self._due.pop(device, None)

    def second(self) -> None:
        """See what is Busy still."""
        for device, due in list(self._due.items()):
            if self.scene.now > due:
                del self._due[device]
                busy = [
                    key[1] for key, known in self.scene.mirror.items() if key[0] == device and known.state == "Busy"
                ]
                if busy:
                    self.broken(f"{device}: {', '.join(busy)} is Busy, {_REST_SECONDS:g} s after it was aborted")
