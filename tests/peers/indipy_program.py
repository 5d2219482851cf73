"""An indipy server: ``python indipy_program.py PORT DEVICE ...``; the devices are in its process."""

import asyncio
import sys

from indi.message import IndiMessage
from indi.routing import Device, Router
from indi.transport.server import TCP

from tests.peers import box


class Box(Device):  # type: ignore[misc]  # indipy may not be installed
    """Does what box.py does: it handles the message as text and sends text."""

    def __init__(self, name: str, router: Router) -> None:
        self.name, self.router, self.heard = name, router, 0
        router.register_device(self)

    def accepts(self, device: str | None) -> bool:
        return device in (None, self.name)

    def message_from_client(self, message: IndiMessage) -> None:
        box.DEVICE, box.heard, box.say = self.name, self.heard, self.say
        box.handle(message.to_string().partition(b"?>\n")[2])
        self.heard = box.heard

    def say(self, text: str) -> None:
        self.router.process_message(IndiMessage.from_string(text), self)


router = Router()
boxes = [Box(name, router) for name in sys.argv[2:]]
asyncio.run(TCP(router, "127.0.0.1", int(sys.argv[1])).start())
