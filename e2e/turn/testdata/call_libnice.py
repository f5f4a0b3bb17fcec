"""Two libnice agents call each other through a TURN server, and by no other way.

    call_libnice.py HOST PORT UDP|TCP|TLS USER PASSWORD

Each sends datagrams until the other has enough. Prints what arrived, as JSON.
"""

import ctypes
import json
import sys

import gi

gi.require_version("Nice", "0.1")
from gi.repository import GLib, Nice  # noqa: E402

ENOUGH, COMPONENT = 20, 1

# The one call that has no binding for Python.
libnice = ctypes.CDLL("libnice.so.10")
Received = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_uint] * 3, ctypes.c_void_p, ctypes.c_void_p)
libnice.nice_agent_attach_recv.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, Received, ctypes.c_void_p]

host, port, relay, user, password = sys.argv[1:]
loop = GLib.MainLoop()
context = loop.get_context()


class Agent:
    def __init__(self, name, controlling):
        self.name, self.heard, self.gathered = name, [], False
        self.nice = Nice.Agent.new(context, Nice.Compatibility.RFC5245)
        self.nice.set_property("controlling-mode", controlling)
        self.nice.set_property("force-relay", True)
        self.nice.set_property("upnp", False)
        self.stream = self.nice.add_stream(COMPONENT)
        self.nice.set_relay_info(self.stream, COMPONENT, host, int(port), user, password, getattr(Nice.RelayType, relay))
        self.received = Received(lambda agent, stream, component, size, data, _: self.heard.append(ctypes.string_at(data, size).decode()))
        libnice.nice_agent_attach_recv(hash(self.nice), self.stream, COMPONENT, hash(context), self.received, None)
        self.nice.connect("candidate-gathering-done", lambda *_: gathered(self))

    def meet(self, other):
        _, ufrag, word = other.nice.get_local_credentials(other.stream)
        self.nice.set_remote_credentials(self.stream, ufrag, word)
        self.nice.set_remote_candidates(self.stream, COMPONENT, other.nice.get_local_candidates(other.stream, COMPONENT))

    def ready(self):
        return self.nice.get_component_state(self.stream, COMPONENT) == Nice.ComponentState.READY

    def say(self):
        text = f"{self.name} says hello"
        self.nice.send(self.stream, COMPONENT, len(text), text)

    def report(self):
        candidates = self.nice.get_local_candidates(self.stream, COMPONENT)
        return {"heard": self.heard, "candidates": sorted({c.type.value_nick for c in candidates})}


ann, bob = Agent("ann", True), Agent("bob", False)


def gathered(agent):
    agent.gathered = True
    if ann.gathered and bob.gathered:
        ann.meet(bob)
        bob.meet(ann)


def tick():
    if ann.ready() and bob.ready():
        ann.say()
        bob.say()
    if min(len(ann.heard), len(bob.heard)) >= ENOUGH:
        loop.quit()
    return True


GLib.timeout_add(20, tick)
GLib.timeout_add_seconds(40, loop.quit)
ann.nice.gather_candidates(ann.stream)
bob.nice.gather_candidates(bob.stream)
loop.run()
print(json.dumps({"ann": ann.report(), "bob": bob.report()}))
