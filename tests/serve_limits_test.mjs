// What the server refuses, and that it goes on afterwards: credentials, origins, sizes, slow clients.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { PROGRAM, Server } from "./server.mjs";

const SMALL = { prompt: "a red circle", width: 64, height: 64, steps: 2, sampler_name: "Euler a" };

/** fetch() sets Host itself; this does not. */
function askAs(server, path, headers, method = "GET") {
  return new Promise((resolve, reject) => {
    const request = http.request({ port: server.port, host: "127.0.0.1", path, method, headers }, (reply) => {
      reply.resume();
      reply.on("end", () => resolve(reply));
    });
    request.on("error", reject);
    request.end();
  });
}

test("asks for credentials where there are any", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "serve-keys-"));
  writeFileSync(join(folder, "keys"), "# keys\nci secret-1\n");
  const server = await Server.start(["--api-key-file", join(folder, "keys"), "--user", "ann:pass word"]);
  t.after(() => server.stop());
  const refused = await server.get("/models");
  assert.equal(refused.status, 401);
  assert.match(refused.headers.get("www-authenticate"), /^Basic/);
  assert.equal(refused.body.status, "error");
  assert.equal((await server.post("/txt2img", SMALL)).status, 401);
  for (const path of ["/hello", "/", "/docs", "/openapi.json"]) assert.equal((await server.get(path)).status, 200, path);
  const basic = (text) => `Basic ${Buffer.from(text).toString("base64")}`;
  const good = [{ authorization: "Bearer secret-1" }, { "x-api-key": "secret-1" }, { "api-key": "secret-1" },
    { authorization: basic("ann:pass word") }, { authorization: basic("x:secret-1") }];
  for (const headers of good) assert.equal((await server.get("/models", headers)).status, 200, JSON.stringify(headers));
  const bad = [{ authorization: "Bearer secret-2" }, { authorization: "Bearer " }, { authorization: basic("ann:x") }, { "x-api-key": "" }];
  for (const headers of bad) assert.equal((await server.get("/models", headers)).status, 401, JSON.stringify(headers));

  const { body } = await server.post("/txt2img", SMALL, good[0]);
  for (let i = 0; i < 2000 && (await server.get(`/queue/${body.job_id}?image=0`, good[0])).body.state !== "done"; i++)
    await new Promise((resolve) => setTimeout(resolve, 50));
  const job = (await server.get(`/queue/${body.job_id}?image=0`, good[0])).body;
  assert.match(job.image_urls[0], /\?expires=\d+&signature=/);
  assert.equal((await server.get(job.image_urls[0])).status, 200);
  assert.equal((await server.get(`/images/${body.job_id}`)).status, 401);
  assert.equal((await server.get(job.image_urls[0].replace(/signature=./, "signature=!"))).status, 401);
  assert.equal((await server.get(job.image_urls[0].replace(/expires=\d/, "expires=9"))).status, 401);
  assert.match(server.log, /owner=ci/);
  assert.doesNotMatch(server.log, /secret-1|pass word|red circle/);
});

test("ignores credentials where there are none", async (t) => {
  const server = await Server.start();
  t.after(() => server.stop());
  for (const authorization of ["Bearer x", "Basic ", "Basic dW5kZWZpbmVk", "nonsense"])
    assert.equal((await server.get("/models", { authorization })).status, 200, authorization);
});

test("does not open itself to others without credentials", () => {
  const run = (...args) => spawnSync(PROGRAM, ["serve", "--port", "0", ...args, "--data-dir", mkdtempSync(join(tmpdir(), "serve-"))],
    { encoding: "utf8", timeout: 20000 });
  const refused = run("--listen", "0.0.0.0");
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /api_key_file/);
  assert.equal(run("--user", "nobody").status, 2);
  assert.equal(run("--tls-certificate", "/nowhere.pem").status, 2);
});

test("knows which pages may use it", async (t) => {
  const server = await Server.start();
  t.after(() => server.stop());
  const own = await server.get("/hello", { origin: "http://localhost:3000" });
  assert.equal(own.headers.get("access-control-allow-origin"), "http://localhost:3000");
  const other = await server.get("/hello", { origin: "https://example.org" });
  assert.equal(other.headers.get("access-control-allow-origin"), null);
  assert.equal((await server.post("/txt2img", SMALL, { origin: "https://example.org" })).status, 403);
  assert.equal((await server.post("/txt2img", SMALL, { origin: "null" })).status, 403);
  const preflight = await server.fetch("/txt2img", { method: "OPTIONS", headers: {
    origin: "http://localhost:3000", "access-control-request-method": "POST", "access-control-request-headers": "content-type,x-stainless-lang",
  } });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get("access-control-allow-headers"), "content-type,x-stainless-lang");
  assert.match(preflight.headers.get("access-control-allow-methods"), /POST/);
  assert.equal((await askAs(server, "/hello", { host: "example.org" })).statusCode, 421);
  assert.equal((await askAs(server, "/hello", { host: `localhost:${server.port}` })).statusCode, 200);
});

test("bounds the size of requests, and goes on", async (t) => {
  const server = await Server.start(["--max-body", "64KiB"]);
  t.after(() => server.stop());
  const large = JSON.stringify({ prompt: "x".repeat(100000) });
  assert.equal((await server.post("/txt2img", large)).status, 413);
  const chunked = await server.fetch("/txt2img", { method: "POST", duplex: "half", body: new Blob([large]).stream() });
  assert.equal(chunked.status, 413);
  assert.equal((await chunked.json()).status, "error");
  assert.match(await server.raw(`GET /${"a".repeat(60000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`), /^(HTTP\/1.1 4|$)/);
  assert.equal((await server.post("/txt2img", { prompt: "x".repeat(40000), steps: 1 })).status, 400); // longer than a prompt may be
  assert.equal((await server.get("/hello")).status, 200);
});

test("takes chunked bodies", async (t) => {
  const server = await Server.start();
  t.after(() => server.stop());
  const reply = await server.fetch("/txt2img", { method: "POST", duplex: "half", body: new Blob([JSON.stringify(SMALL)]).stream() });
  assert.equal(reply.status, 200);
  assert.equal((await server.wait((await reply.json()).job_id)).state, "done");
});

test("cuts slow clients off while others are served", async (t) => {
  const server = await Server.start(["--idle-seconds", "1", "--request-seconds", "3"]);
  t.after(() => server.stop());
  const slowHead = server.raw("GET /hello HTTP/1.1\r\nHost: localhost\r\nX: " + "a".repeat(1000), { pace_ms: 100 });
  const slowBody = server.raw("POST /txt2img HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" + "a".repeat(1000), { pace_ms: 100 });
  const silent = server.raw("");
  assert.equal((await server.get("/hello")).status, 200);
  for (const text of await Promise.all([slowHead, slowBody, silent])) assert.doesNotMatch(text, /^HTTP\/1.1 2/);
  assert.equal((await server.get("/hello")).status, 200);
});

test("shows prompts in the log only when it was asked to", async (t) => {
  const server = await Server.start(["--log-prompts", "true"]);
  t.after(() => server.stop());
  const { body } = await server.post("/txt2img", SMALL);
  assert.equal((await server.wait(body.job_id)).state, "done");
  assert.match(server.log, /job_prompt job=\S+ prompt="a red circle"/);
});

test("speaks TLS where it has a certificate", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "serve-tls-"));
  const key = join(folder, "key.pem"), certificate = join(folder, "cert.pem");
  const made = spawnSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost",
    "-days", "2", "-keyout", key, "-out", certificate]);
  if (made.status !== 0) return t.skip("there is no openssl");
  const server = await Server.start(["--tls-certificate", certificate, "--tls-key", key]);
  t.after(() => server.stop());
  assert.equal(server.scheme, "https");
  const body = await new Promise((resolve, reject) => {
    https.get({ port: server.port, host: "127.0.0.1", path: "/hello", rejectUnauthorized: false }, (reply) => {
      let text = "";
      reply.on("data", (chunk) => { text += chunk; });
      reply.on("end", () => resolve(text));
    }).on("error", reject);
  });
  assert.equal(body, '{"ok":true}');
  assert.doesNotMatch(await server.raw("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"), /^HTTP/);
});

test("a plan that fits nowhere is refused, and says what would fit", async (t) => {
  const server = await Server.start(["--memory-budget", "1MiB"]);
  t.after(() => server.stop());
  const reply = await server.post("/plan", { ...SMALL, width: 512, height: 512 });
  assert.equal(reply.status, 422, JSON.stringify(reply.body));
  assert.equal(reply.body.status, "error");
  assert.equal(reply.body.largest, null);
  const other = await Server.start(["--memory-budget", "200MB", "--size-policy", "refuse"]);
  t.after(() => other.stop());
  const refused = await other.post("/plan", { ...SMALL, width: 4096, height: 4096 });
  assert.equal(refused.status, 422, JSON.stringify(refused.body));
  const { width, height } = refused.body.largest;
  assert.ok(refused.body.detail.includes(`${width}x${height} would fit`), refused.body.detail);
  assert.ok(width > 64 && width < 4096 && width === height);
  const { body } = await server.post("/txt2img", SMALL);
  const job = await server.wait(body.job_id);
  assert.equal(job.state, "error");
  assert.ok(job.error && job.error_code);
});
