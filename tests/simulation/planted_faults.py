"""The faults that are planted into the library, each of which the simulation must find; see the command beside it.

What is not found says which condition the plans do not have.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault.

    :ivar name: what it is called.
    :ivar module: where it is planted.
    :ivar before: what stands there, once.
    :ivar after: what is to stand there instead.
    :ivar scene: which plans find it: ``observatory``, ``driver``, ``instrument`` or ``saving``.
    :ivar seeds: within how many seeds it is found.
    """

    name: str
    module: str
    before: str
    after: str
    scene: str = "observatory"
    seeds: int = 30


_WRITER_WAITS = """                if self._outbox.queued_bytes:
                    continue
                if self._closed:
                    return "everything was sent"
                self._writer_waits = not self._filled.is_set()
                await self._filled.wait()
                self._filled = anyio.Event()
"""
_WRITER_MISSES = """                if self._closed:
                    return "everything was sent"
                self._filled = anyio.Event()
                self._writer_waits = True
                await self._filled.wait()
"""

MUTANTS = (
    Mutant(
        "two messages change places in an outbox",
        "indianyio._routing._outboxes",
        "        self._queue.append(outgoing)\n",
        "        self._queue.insert(max(len(self._queue) - 1, 0), outgoing)\n",
    ),
    Mutant(
        "an outbox has no bound",
        "indianyio._routing._outboxes",
        '        if self.queued_bytes > self.limit_bytes:\n            return f"it does not read',
        '        if self.limit_bytes < 0:\n            return f"it does not read',
        seeds=200,
    ),
    Mutant(
        "a client that is given up is not disconnected",
        "indianyio.server._peers",
        "        if self._outbox.failure is not None:\n            self.refuse(self._outbox.failure)\n",
        "",
        seeds=200,
    ),
    Mutant(
        "what is left of a piece that ends inside a tag is lost now and then",
        "indianyio.protocol._framer",
        "        piece = self._half_tag + data if self._half_tag else data\n",
        "        piece = self._half_tag + data if len(self._half_tag) not in {0, 5} else data\n",
    ),
    Mutant(
        "leave() is skipped when the run is cancelled",
        "indianyio.driver._run",
        "                await self._leave()\n",
        "                if not self._task.has_pending_cancellation():\n                    await self._leave()\n",
    ),
    Mutant(
        "leave() is skipped when the run is cancelled, with a driver alone",
        "indianyio.driver._run",
        "                await self._leave()\n",
        "                if not self._task.has_pending_cancellation():\n                    await self._leave()\n",
        scene="driver",
    ),
    Mutant(
        "the devices of a lost server are kept",
        "indianyio.server._remotes",
        "                hub.remove(peer, reason)\n",
        "                pass\n",
    ),
    Mutant(
        "one lane for each device",
        "indianyio.driver._inbox",
        "        elif self._writes.put(vector, arrival):\n",
        "        elif self._writes.put(vector.devicename, arrival):\n",
        seeds=100,
    ),
    Mutant(
        "a wake-up is lost that comes while the writer sends",
        "indianyio._link",
        _WRITER_WAITS,
        _WRITER_MISSES,
    ),
    Mutant(
        "the wish for BLOBs is not taken back when a client leaves",
        "indianyio._routing._router",
        "        routes.change()\n        routed.deliveries += self._policies_due()\n        return routed\n\n"
        "    def will_not_return",
        "        routes.change()\n        return routed\n\n    def will_not_return",
        seeds=200,
    ),
    Mutant(
        "routes that were found are kept when somebody comes",
        "indianyio._routing._routes",
        "        for known in self._used:\n            known.clear()\n",
        "        for known in self._used:\n            pass\n",
    ),
    Mutant(
        "a circle is not noticed",
        "indianyio._routing._from_clients",
        "    if circles:\n",
        "    if circles and not path:\n",
    ),
    Mutant(
        "the rest of a partial send is lost",
        "indianyio._link",
        "            self._begun = data[sent:]\n",
        '            self._begun = b""\n',
    ),
    Mutant(
        "the end of a device behind another server is not told to who snoops one vector of it",
        "indianyio._routing._subscriptions",
        "            return any(entry[0] == device or ",
        '            return any(entry == (device, "") or ',
        seeds=100,
    ),
    Mutant(
        "refused writes are not answered",
        "indianyio.driver._inbox",
        "            self._replies.refuse(vector, str(error))\n        else:\n",
        "            pass\n        else:\n",
        scene="driver",
    ),
    Mutant(
        "an answer that finds no room is forgotten",
        "indianyio.driver._inbox",
        "            self._pending[key] = make\n            self._added.set()\n",
        "            pass\n",
        scene="driver",
    ),
    Mutant(
        "a handler that waits keeps the reader from reading",
        "indianyio.driver._guard",
        "    step, watch.step = watch.step, before\n    hand_over()\n",
        "    step, watch.step = watch.step, before\n",
        scene="driver",
    ),
    Mutant(
        "an external driver that has ended keeps its devices",
        "indianyio._routing._router",
        "                routed.send(deletion(device), targets)\n",
        "                pass\n",
    ),
    Mutant(
        "what a driver fails of while its server ends leaves the server, too",
        "indianyio.driver._guard",
        "            failure = uncancelled(error)\n",
        "            failure = error\n",
    ),
    Mutant(
        "the client takes Busy for the verdict",
        "indianyio.client._settling",
        "        if carries and self._row.busy_is_done:\n",
        "        if self._phase is _Phase.WAITING:\n",
    ),
    Mutant(
        "the client takes the end of an earlier operation for the verdict",
        "indianyio.client._settling",
        "        if self._phase is _Phase.WAITING or carries:\n",
        "        if True:\n",
        seeds=200,
    ),
    Mutant(
        "the client takes another value for the verdict",
        "indianyio.client._settling",
        "        return self._written.keys() <= seen.carried and self._reached(\n",
        "        return self._written.keys() <= seen.carried or self._reached(\n",
        seeds=100,
    ),
    Mutant(
        "the client keeps a vector that was deleted alone",
        "indianyio.client._mirror",
        "            return self._remove(device, message.name)._replace(message=text)\n",
        "            return None\n",
    ),
    Mutant(
        "the client keeps what was not defined again after a connection was lost",
        "indianyio.client._client",
        "        for change in self._mirror.forget_stale():\n",
        "        for change in ():\n",
        seeds=100,
    ),
    Mutant(
        "the client drops what it is asked to write",
        "indianyio.client._client",
        "        await connection.send(message, base64=base64, begun=begun)\n",
        '        if type(message).__name__.startswith("New"):\n'
        "            return begun() if begun is not None else None\n"
        "        await connection.send(message, base64=base64, begun=begun)\n",
    ),
    Mutant(
        "the clients of the simulation itself drop what they write",
        "tests.simulation.writers",
        "        await self.stream.send(wish.encode())\n",
        "        pass\n",
    ),
    Mutant(
        "writes to another server are lost after the first reconnection",
        "indianyio.server._remotes",
        "        policy = FEEDER if self._blobs else _WITHOUT_BLOBS\n",
        "        policy = FEEDER if self._blobs else _WITHOUT_BLOBS\n"
        "        if self._connections:\n"
        '            policy = replace(policy, kept_back=frozenset({"newNumberVector"}))\n',
    ),
    Mutant(
        "Aborts to another server are lost after the first reconnection",
        "indianyio.server._remotes",
        "        policy = FEEDER if self._blobs else _WITHOUT_BLOBS\n",
        "        policy = FEEDER if self._blobs else _WITHOUT_BLOBS\n"
        "        if self._connections:\n"
        '            policy = replace(policy, kept_back=frozenset({"newSwitchVector"}))\n',
    ),
    Mutant(
        "Aborts to a program are lost after it was started again",
        "indianyio.server._exdrivers",
        "        peer = self._port = Peer(hub, process.stream, outbox, FEEDER, name=self.name)\n",
        "        policy = FEEDER\n"
        "        if self.restarts_done:\n"
        '            policy = replace(policy, kept_back=frozenset({"newSwitchVector"}))\n'
        "        peer = self._port = Peer(hub, process.stream, outbox, policy, name=self.name)\n",
    ),
    Mutant(
        "Aborts to a driver in the server are lost when it has got thirty messages",
        "indianyio.server._local_driver",
        "        size, rank = len(frame.data), rank_of(frame)\n",
        "        size, rank = len(frame.data), rank_of(frame)\n"
        '        if frame.tag == "newSwitchVector" and self._traffic.messages_out > 30:\n'
        "            return True\n",
    ),
    Mutant(
        "settings are written into the file itself",
        "indianyio._whole_files",
        "    with new_file(path.parent, mode) as file:\n        file.write(data)\n        file.replace(path)\n",
        "    path.write_bytes(data)\n",
        scene="saving",
    ),
    Mutant(
        "settings get their name before they are on the disk",
        "indianyio._whole_files",
        "            os.fsync(self._file.fileno())\n",
        "            pass\n",
        scene="saving",
    ),
    Mutant(
        "an Abort leaves what it has stopped Busy",
        "indianyio.instrument._framework._ends",
        "        await self._bound.report(state=self._rule.aborted)\n",
        "        await self._bound.report()\n",
        scene="instrument",
    ),
)
"""The faults that are planted."""
