/** Calls on networks that let only some things through. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { call, closePages, flows, open, startChromium, startDuet, startFirefox, state, viaRelay } from "./lab.js";

const host = "call.test";
const port = "8443";

/** @type {string} */
let dir;
/** @type {import("./lab.js").Duet} */
let duet;
/** @type {Record<string, Awaited<ReturnType<typeof startChromium>>>} */
const started = {};

before(async () => {
  dir = mkdtempSync(join(tmpdir(), "duet-tls-"));
  const at = (/** @type {string} */ name) => join(dir, name);
  const fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  run("openssl", "req", "-x509", ...fresh, "-days", "2", "-subj", "/CN=Test CA", "-keyout", at("ca-key.pem"), "-out", at("ca.pem"));
  run("openssl", "req", ...fresh, "-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host}`, "-keyout", at("key.pem"), "-out", at("request.pem"));
  run("openssl", "x509", "-req", "-in", at("request.pem"), "-copy_extensions", "copy", "-days", "2",
    "-CA", at("ca.pem"), "-CAkey", at("ca-key.pem"), "-CAcreateserial", "-out", at("cert.pem")); // prettier-ignore
  duet = await startDuet({ DUET_TLS_LISTEN: `192.168.77.10:${port}`, DUET_TLS_CERT: at("cert.pem"), DUET_TLS_KEY: at("key.pem") });
  started.chromium = await startChromium({ trust: at("ca.pem"), args: [`--host-resolver-rules=MAP ${host} 192.168.77.10`] });
  started.firefox = await startFirefox({ trust: at("ca.pem"), prefs: { "network.dns.forceResolve": "192.168.77.10" } });
});
afterEach(async () => {
  run("nft", "flush", "ruleset");
  await closePages();
});
after(async () => {
  for (const browser of Object.values(started)) await browser.close();
  await duet?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/**
 * @param {string} command
 * @param {string[]} args
 */
function run(command, ...args) {
  execFileSync(command, args, { stdio: "pipe" });
}

/**
 * Drops what comes in on a port.
 * @param {string[]} what nft matches, such as "udp dport 3478"
 */
function block(...what) {
  run("nft", "add table inet wall; add chain inet wall in { type filter hook input priority 0; }");
  for (const match of what) run("nft", `add rule inet wall in ${match} drop`);
}

test("the page comes over HTTPS, and the browser takes the certificate's name", async () => {
  assert.equal(duet.url, `https://${host}:${port}`);
  const page = await open(started.chromium.browser, duet.url);
  await state(page, "home");
  assert.ok(await page.evaluate(() => isSecureContext));
});

for (const name of ["chromium", "firefox"]) {
  /**
   * Makes a call through the relay alone, and says over which transport it went.
   * @param {string} room
   */
  const transports = async (room) => {
    const used = [];
    for (const page of await call(started[name].browser, duet.url, { room: `${room}-${name}`, policy: "relay" })) {
      const got = await flows(page);
      assert.deepEqual([got.local, viaRelay(got.remote)], ["relay", true]);
      assert.match(await page.$eval("#path", (path) => path.textContent), new RegExp(`relayed over ${room}`, "i"));
      used.push(got.relayProtocol);
    }
    return used;
  };

  test(`${name}: where UDP is blocked, the relay is reached over TCP`, async () => {
    block("udp dport 3478");
    assert.deepEqual(await transports("tcp"), ["tcp", "tcp"]);
  });

  test(`${name}: where only the page's own port is open, the call goes over it`, async () => {
    block("udp dport 3478", "tcp dport 3478");
    assert.deepEqual(await transports("tls"), ["tls", "tls"]);
  });
}

test("the test page says for each transport whether it works", async () => {
  block("tcp dport 3478");
  const page = await open(started.chromium.browser, `${duet.url}/trickle`);
  await state(page, "done");
  const cards = await page.$$eval('.verdict[data-check="turn"]', (all) => all.map((card) => ({ .../** @type {HTMLElement} */ (card).dataset })));
  const results = cards.map(({ url, result }) => `${/transport=(\w+)/.exec(url ?? "")?.[1]} ${url?.split(":")[0]} ${result}`);
  assert.deepEqual(results, ["udp turn ok", "tcp turn warn", "tcp turns ok"]);
});
