/** What a page under test did, counted by what lab.js puts under it. */
declare var seen: {
  connections: RTCPeerConnection[];
  tracks: MediaStreamTrack[];
  sockets: number;
  media: number;
  negotiations: number;
};
