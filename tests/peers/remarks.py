"""What was found when somebody looked why a server does not keep a rule: by server, its version, and rule."""

from __future__ import annotations

__all__ = ["REMARKS"]

REMARKS: dict[tuple[str, str, str], str] = {
    ("indiserver", "1.9.9", "DescriptorsRunOut"): (
        "It exits when it cannot accept: its log ends with `accept: Too many open files` and `good bye`."
    ),
    ("indiserver", "1.9.9", "DeathIsSaid"): (
        "A client only gets a `delProperty` without a text, and then the definitions of the new process."
        " The end of the driver is in the server's own log."
    ),
    ("indiserver", "1.9.9", "LostServerIsDeleted"): (
        "It deletes the device, connects again at once, and exits when that is refused: its log ends with"
        " `Connection refused` and `good bye`. Its own drivers end with it, and the `delProperty` does not always"
        " reach the client. Where the other end accepts connections and closes them, it goes on."
    ),
    ("indiserver", "1.9.9", "LostServerComesBack"): (
        "It connects again at once (`restart #0` in its log) but asks the other server for nothing. The definitions"
        " come as soon as some client asks again."
    ),
    ("indipyserver", "0.0.6", "RequestsStayPrivate"): (
        "What a client sends goes to all other connections, since one of them may be another server (`_broadcast`)."
    ),
    ("indipyserver", "0.0.6", "BrokenMessageOfAClient"): (
        "Its log has `ParseError: mismatched tag` from `_client_rx`. There is code to start anew, but the parser"
        " raises the error one call later, and the connection is closed."
    ),
    ("indipyserver", "0.0.6", "StalledClientIsBounded"): (
        "Each message for the client waits in a task of its own, and nothing limits these."
    ),
    ("indipyserver", "0.0.6", "DescriptorsRunOut"): (
        "The descriptors were still open a minute later. That a client has left is noticed only when something is"
        " sent to it, and here nothing is. It serves ten clients at most; while there are descriptors enough, it"
        " turns the others away, and serves a new one once some have left."
    ),
    ("indipyserver", "0.0.6", "BrokenMessageOfADriver"): (
        "Its log has `ParseError: mismatched tag` from `_run_tx`, where the same happens as with clients, and then"
        " `Driver shutdown`."
    ),
    ("indipyserver", "0.0.6", "DeadDriverIsDeleted"): (
        "Its log has `IndexError: index out of range` from `_removexmldec`, which is given the empty end of the"
        " driver's output, and then `Driver shutdown`. Nothing at all is sent to clients."
    ),
    ("indipyserver", "0.0.6", "DeathIsSaid"): "Nothing at all is sent to clients; its log says `Driver shutdown`.",
    ("indipyserver", "0.0.6", "DriverIsRestarted"): "It starts no driver a second time; there is no code for it.",
    ("indipyserver", "0.0.6", "LostServerIsDeleted"): (
        "Clients get messages with a text, `Remote connection to 127.0.0.1:… lost`, and no `delProperty`. Its own"
        " driver works on, and it connects again every five seconds."
    ),
    ("indipy", "0.5.0", "RequestsStayPrivate"): (
        "A `getProperties` may also come from a device that snoops, so its router hands each to all other clients."
    ),
    ("indipy", "0.5.0", "BrokenMessageOfAClient"): (
        "Its buffer waits for the broken message to become whole, and looks past its beginning once 2048 bytes"
        " wait. After forty more messages the good write was carried out."
    ),
    ("indipy", "0.5.0", "StalledClientIsBounded"): (
        "Each message for the client waits in a task of its own, and nothing limits these."
    ),
}
