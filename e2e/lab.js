/**
 * What the end-to-end tests stand on: the built server, real browsers, and the questions
 * that one asks of a call.
 */
export * from "./browsers.js";
export * from "./page.js";
export * from "./server.js";
export * from "./stage.js";
export * from "./until.js";
export * from "./wire.js";
