// For the tests of the page: the program's server with the demo model, and Debian's chromium on it.
//
//   DIFFUSIONAPI   the program; build/release/diffusionapi
//   SCREENSHOTS    a folder for pictures of the page; none: no pictures

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = resolve(fileURLToPath(new URL("../..", import.meta.url)));
const program = process.env.DIFFUSIONAPI ?? join(root, "build/release/diffusionapi");
const CHROMIUM = "/usr/bin/chromium";
const START_MS = 30000;

export const WIDE = { viewport: { width: 1440, height: 900 } };
export const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };
export const PROMPT = "a large yellow star on a black background";

const freePort = () => new Promise((found) => {
  const probe = createServer().listen(0, "127.0.0.1", () => {
    const { port } = probe.address();
    probe.close(() => found(port));
  });
});

/** Until it answers and its worker is ready. */
async function untilHealthy(base, child, headers) {
  const end = Date.now() + START_MS;
  while (Date.now() < end) {
    if (child.exitCode !== null) throw new Error(`the server ended with status ${child.exitCode}:\n${child.said}`);
    try {
      const reply = await fetch(new URL("health", base), { headers });
      if (reply.ok && (await reply.json()).worker.up) return;
    } catch {
      // Not listening yet.
    }
    await new Promise((go) => setTimeout(go, 50));
  }
  throw new Error(`the server and its worker were not ready within ${START_MS} ms:\n${child.said}`);
}

/** A server of its own, with nothing in its folders but the demo model. stop() ends it and removes its data. */
export async function startServer(flags = [], { key } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "page-server-"));
  const port = await freePort();
  const base = `http://127.0.0.1:${port}/`;
  const child = spawn(program, ["serve", "--port", String(port), "--data-dir", join(folder, "data"),
    "--models-dir", join(folder, "models"), ...(key ? ["--api-key", key] : []), ...flags], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  child.said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (bytes) => { child.said = (child.said + bytes).slice(-8000); });
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      const impatience = setTimeout(() => child.kill("SIGKILL"), 15000);
      await ended;
      clearTimeout(impatience);
    }
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await untilHealthy(base, child, key ? { Authorization: `Bearer ${key}` } : {});
  } catch (error) {
    await stop();
    throw error;
  }
  return { base, stop, said: () => child.said };
}

/** A browser with a profile of its own; page() opens a window on base and fails the test on errors of the page. */
export async function startBrowser(options = {}) {
  const profile = mkdtempSync(join(tmpdir(), "page-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
    ...WIDE,
    reducedMotion: "reduce",
    ...options,
  });
  context.setDefaultTimeout(30000);
  const errors = [];
  const page = context.pages()[0] ?? (await context.newPage());
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    // A refusal of the server is the page's business; one of the browser's, such as of its policy, is not.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) errors.push(message.text());
  });
  const stop = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
    if (errors.length) throw new Error(`the page complained:\n${errors.join("\n")}`);
  };
  return { page, stop };
}

/** Opens the page and waits until it has planned what is in its form. */
export async function open(page, base) {
  await page.goto(base);
  await page.waitForSelector(".phases");
}

/** Presses Generate and waits for the picture. */
export async function generate(page) {
  await page.click("#generate");
  await page.waitForSelector("#run-cancel:not([hidden])");
  await page.waitForSelector("#run-actions:not([hidden])");
}

export async function screenshot(page, name, options = {}) {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `page-${name}.png`), ...options });
}

/** What is missing here, as a sentence, or false: the option `skip` of a test. */
export const missing = !existsSync(CHROMIUM) ? `no ${CHROMIUM}` : !existsSync(program) ? `no ${program}` : false;
