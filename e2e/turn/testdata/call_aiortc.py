"""Two aiortc peers call each other through a TURN server, and by no other way.

    call_aiortc.py URL USER PASSWORD

Sends audio and data channel messages both ways. Prints what arrived, as JSON.
"""

import asyncio
import contextlib
import functools
import json
import sys

import aiortc.rtcicetransport
from aioice import Connection, TransportPolicy
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError

ENOUGH_FRAMES, ENOUGH_MESSAGES = 25, 10

# aiortc has no iceTransportPolicy; aioice, below it, has.
aiortc.rtcicetransport.Connection = functools.partial(Connection, transport_policy=TransportPolicy.RELAY)


class Peer:
    def __init__(self, name, server):
        self.name, self.frames, self.heard, self.candidates = name, 0, [], []
        self.pc = RTCPeerConnection(RTCConfiguration([server]))
        self.pc.addTrack(AudioStreamTrack())
        self.pc.on("track", lambda track: asyncio.ensure_future(self.listen(track)))
        self.pc.on("datachannel", self.use)

    def use(self, channel):
        channel.on("message", self.heard.append)
        asyncio.ensure_future(self.talk(channel))

    async def talk(self, channel):
        while channel.readyState != "open":
            await asyncio.sleep(0.02)
        for n in range(ENOUGH_MESSAGES):
            channel.send(f"{self.name} says {n}")

    async def listen(self, track):
        with contextlib.suppress(MediaStreamError):  # the end of the call
            while True:
                await track.recv()
                self.frames += 1

    def done(self):
        return self.frames >= ENOUGH_FRAMES and len(self.heard) >= ENOUGH_MESSAGES

    def report(self):
        sdp = self.pc.localDescription.sdp.splitlines()
        return {
            "frames": self.frames,
            "heard": self.heard,
            "candidates": sorted({line.split(" typ ")[1].split()[0] for line in sdp if line.startswith("a=candidate")}),
            "state": self.pc.connectionState,
        }


async def main(url, user, password):
    server = RTCIceServer(urls=[url], username=user, credential=password)
    ann, bob = Peer("ann", server), Peer("bob", server)
    ann.use(ann.pc.createDataChannel("chat"))
    await ann.pc.setLocalDescription(await ann.pc.createOffer())
    await bob.pc.setRemoteDescription(ann.pc.localDescription)
    await bob.pc.setLocalDescription(await bob.pc.createAnswer())
    await ann.pc.setRemoteDescription(bob.pc.localDescription)
    deadline = asyncio.get_running_loop().time() + 40
    while not (ann.done() and bob.done()) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.05)
    print(json.dumps({"ann": ann.report(), "bob": bob.report()}))
    await asyncio.gather(ann.pc.close(), bob.pc.close())


asyncio.run(main(*sys.argv[1:]))
