/** A call of somebody who leaves one network and comes into another. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { after, afterEach, before, test } from "node:test";
import { chat, closePages, enter, flows, media, say, startChromium, startDuet, state, until } from "./lab.js";

const server = "192.168.77.10";
/** How soon media has to be back once there is a network again, in milliseconds. */
const goal = 10_000;

/** @type {import("node:child_process").ChildProcess} its network namespace is Ann's */
let device;
/** @type {import("./lab.js").Duet} */
let duet;
/** @type {Record<"ann" | "bo", Awaited<ReturnType<typeof startChromium>>>} */
const browsers = /** @type {never} */ ({});

/** @param {string[]} args */
const ip = (...args) => execFileSync("ip", args, { stdio: "pipe" });
/** @param {string[]} args  to ip, on Ann's device */
const onDevice = (...args) => execFileSync("nsenter", [`--net=/proc/${device.pid}/ns/net`, "ip", ...args], { stdio: "pipe" });

/** Two networks reach Ann's device, wifi and mobile; the server is beyond both. */
before(async () => {
  device = spawn("unshare", ["--net", "sleep", "infinity"]);
  await until("the device has a network of its own", () => {
    try {
      return execFileSync("readlink", [`/proc/${device.pid}/ns/net`]).compare(execFileSync("readlink", ["/proc/self/ns/net"])) !== 0;
    } catch {
      return false;
    }
  });
  onDevice("link", "set", "lo", "up");
  for (const [name, net] of Object.entries({ wifi: "10.1.0", mobile: "10.2.0" })) {
    ip("link", "add", `to-${name}`, "type", "veth", "peer", "name", name, "netns", String(device.pid));
    // An IPv6 address that comes by itself, seconds later, is one more change of network.
    ip("link", "set", `to-${name}`, "addrgenmode", "none");
    onDevice("link", "set", name, "addrgenmode", "none");
    ip("address", "add", `${net}.1/24`, "dev", `to-${name}`);
    ip("link", "set", `to-${name}`, "up");
    onDevice("address", "add", `${net}.2/24`, "dev", name);
  }
  go("wifi");
  duet = await startDuet({ DUET_HTTP_LISTEN: `${server}:0` });
  const args = [`--unsafely-treat-insecure-origin-as-secure=${duet.url}`];
  browsers.ann = await startChromium({ args, network: /** @type {number} */ (device.pid) });
  browsers.bo = await startChromium({ args });
});
afterEach(closePages);
after(async () => {
  await browsers.ann?.close();
  await browsers.bo?.close();
  await duet?.stop();
  device?.kill("SIGKILL");
  for (const name of ["wifi", "mobile"]) ip("link", "del", `to-${name}`);
});

/** @param {"wifi" | "mobile"} name  the network that Ann is in from now on */
function go(name) {
  onDevice("link", "set", name, "up");
  onDevice("route", "replace", "default", "via", name === "wifi" ? "10.1.0.1" : "10.2.0.1", "dev", name);
}

/** @param {"wifi" | "mobile"} name  the network that Ann loses */
const lose = (name) => onDevice("link", "set", name, "down");

for (const [what, first, caller] of /** @type {const} */ ([
  ["who called", "ann", "Ann"],
  ["who was called", "bo", "Ann"],
])) {
  test(`the network of one ${what} changes, and the call goes on`, async () => {
    const room = `roaming ${what}`;
    const order = first === "ann" ? /** @type {const} */ (["ann", "bo"]) : /** @type {const} */ (["bo", "ann"]);
    /** @type {Record<"ann" | "bo", import("puppeteer-core").Page>} */
    const pages = /** @type {never} */ ({});
    for (const who of order) {
      pages[who] = await enter(browsers[who].browser, duet.url, { room, name: who === "ann" ? caller : "Bo" });
      await state(pages[who], who === order[0] ? "waiting" : "connected");
    }
    const { ann, bo } = pages;
    await flows(ann);
    await flows(bo);
    for (const [from, to, gap] of /** @type {const} */ ([
      ["wifi", "mobile", 0],
      ["mobile", "wifi", 12_000],
    ])) {
      lose(from);
      await new Promise((resolve) => setTimeout(resolve, gap));
      await say(bo, `into ${to}`);
      const [heard, saw] = await Promise.all([ann, bo].map(media));
      go(to);
      const began = Date.now();
      await until(
        `media both ways ${goal} ms after ${from} became ${to}`,
        async () => {
          const now = await Promise.all([ann, bo].map(media));
          return now.every(({ frames, audio }, i) => frames > ([heard, saw][i]?.frames ?? 0) + 5 && audio > ([heard, saw][i]?.audio ?? 0) + 10);
        },
        goal,
      );
      console.log(`# ${what}, ${gap} ms without a network: media after ${Date.now() - began} ms`);
      for (const page of [ann, bo]) {
        await state(page, "connected");
        await flows(page);
        assert.equal(await page.evaluate(() => seen.connections.length), 1, "it is another call");
      }
    }
    await until("nothing was lost or doubled", async () => (await chat(ann)).join() === "into mobile,into wifi");
    assert.equal(duet.lines.filter((line) => line.includes("member left") && line.includes(room)).length, 0);
  });
}
