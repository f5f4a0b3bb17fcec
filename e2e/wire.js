/** What is between a browser and the server, as far as TCP goes. */
import { connect, createServer } from "node:net";

/** @typedef {import("node:net").Socket} Socket */

/**
 * A wire to the server that can be cut, or carry nothing without anybody noticing.
 * @param {string} url
 */
export async function wire(url) {
  const to = Number(new URL(url).port);
  /** @type {Map<Socket, Socket>} each end and the other one */
  const ends = new Map();
  let open = true;
  let silent = false;
  const server = createServer((near) => {
    if (!open) return void near.destroy();
    const far = connect(to, "127.0.0.1");
    for (const [end, other] of /** @type {const} */ ([
      [near, far],
      [far, near],
    ])) {
      ends.set(end, other);
      end.on("error", () => {});
      end.on("close", () => {
        ends.delete(end);
        other.destroy();
      });
      if (!silent) end.pipe(other);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  return {
    url: `http://localhost:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`,
    /** Ends what is connected, and refuses what comes. */
    cut: () => {
      open = false;
      for (const end of ends.keys()) end.destroy();
    },
    /** Takes everything from both sides and delivers nothing. */
    hush: () => {
      silent = true;
      for (const end of ends.keys()) end.unpipe();
    },
    mend: () => {
      open = true;
      silent = false;
      for (const [end, other] of ends) end.pipe(other);
    },
    close: () => {
      for (const end of ends.keys()) end.destroy();
      server.close();
    },
  };
}
