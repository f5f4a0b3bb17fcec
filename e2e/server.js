/** The built server. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { patience } from "./until.js";

const root = new URL("..", import.meta.url).pathname;

/**
 * One running server.
 * @typedef {object} Duet
 * @property {string} url where its page is
 * @property {string[]} lines what it printed
 * @property {import("node:child_process").ChildProcess} process
 * @property {(signal?: NodeJS.Signals) => Promise<number | null>} stop ends it and returns its exit status
 */

/**
 * Starts bin/duet on defaults and waits for its banner.
 * @param {Record<string, string>} [env] DUET_SECTION_KEY overrides
 * @returns {Promise<Duet>}
 */
export async function startDuet(env = {}) {
  const child = spawn(join(root, "bin", "duet"), ["serve"], {
    cwd: tmpdir(),
    env: { PATH: process.env.PATH, STATE_DIRECTORY: stateDirectory(), DUET_HTTP_LISTEN: "127.0.0.1:0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  /** @type {string[]} */
  const lines = [];
  const ended = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
  createInterface({ input: child.stderr }).on("line", (line) => lines.push(line));
  const url = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no banner in time:\n${lines.join("\n")}`)), patience);
    createInterface({ input: child.stdout }).on("line", (line) => {
      lines.push(line);
      const found = /^ {2}Call +(http\S+)/.exec(line);
      if (found) resolve(found[1]);
      if (/^ {2}Config /.test(line)) clearTimeout(timer);
    });
    void ended.then((code) => reject(new Error(`duet ended with ${code}:\n${lines.join("\n")}`)));
  });
  return {
    url,
    lines,
    process: child,
    stop: async (signal = "SIGTERM") => {
      child.kill(signal);
      return await ended;
    },
  };
}

/** A directory for what outlives a server; deleted when the tests end. */
export function stateDirectory() {
  const directory = mkdtempSync(join(tmpdir(), "duet-state-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
