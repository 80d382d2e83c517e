// The examples of docs/api.md, run one after the other as they stand there.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Server } from "./server.mjs";

test("every example of docs/api.md works", async (t) => {
  if (spawnSync("curl", ["--version"]).status !== 0) return t.skip("there is no curl");
  const blocks = [...readFileSync("docs/api.md", "utf8").matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1]);
  assert.ok(blocks.length > 10);
  const server = await Server.start();
  const cwd = mkdtempSync(join(tmpdir(), "docs-api-"));
  t.after(async () => {
    await server.stop();
    rmSync(cwd, { recursive: true });
  });
  const script = ["set -eu", 'curl() { command curl -sS -m 120 --fail-with-body "$@"; }', ...blocks].join("\n");
  const run = spawnSync("sh", ["-c", script], { cwd, encoding: "latin1", env: { ...process.env, DIFFUSIONAPI: server.base }, timeout: 300000 });
  assert.equal(run.status, 0, `${run.stderr}\n${run.stdout.slice(-2000)}`);
});
