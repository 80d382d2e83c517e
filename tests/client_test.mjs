// `diffusionapi client` against a running server: submits, shows, saves, lists, cancels; and what it makes of servers that are wrong.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { PROGRAM, Server } from "./server.mjs";

const SMALL = ["--prompt", "a red circle", "--width", "64", "--height", "64", "--steps", "3", "--seed", "7", "--cfg-scale", "5"];
const LONG = ["--prompt", "x", "--width", "256", "--height", "256", "--steps", "150", "--sampler", "Heun"];
const NAME = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;
const folder = mkdtempSync(join(tmpdir(), "client-test-"));
const at = (name) => join(folder, name);
let server;

before(async () => { server = await Server.start(); });
after(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** {code, out, err} of a client; `during` is called with the process once it has told its job. */
function client(args, { to = server.base, env = {}, during } = {}) {
  const child = spawn(PROGRAM, ["client", "--server", to, ...args], { cwd: folder, env: { ...process.env, ...env } });
  const got = { out: "", err: "" };
  child.stdout.on("data", (bytes) => { got.out += bytes; });
  child.stderr.on("data", (bytes) => {
    got.err += bytes;
    const job = /^job: (\S+)/m.exec(got.err);
    if (!job) return;
    during?.(child, job[1]);
    during = undefined;
  });
  return new Promise((done) => child.on("close", (code) => done({ code, ...got })));
}

const jobOf = (text) => /^job: (\S+)/m.exec(text)?.[1];

test("makes the picture that the command line makes, and tells how it gets on", async () => {
  const made = await client([...SMALL, "--output", "star.png"]);
  assert.equal(made.code, 0, made.err);
  assert.match(jobOf(made.err), NAME);
  assert.match(made.err, /^picture: star\.png$/m);
  assert.match(made.err, /: \d+ %$/m);
  const bytes = readFileSync(at("star.png"));
  assert.deepEqual(bytes, Buffer.from(await (await server.fetch(`/images/${jobOf(made.err)}`)).arrayBuffer()));
  const line = spawnSync(PROGRAM, ["txt2img", ...SMALL, "--output", at("line.png")], { encoding: "utf8" });
  assert.equal(line.status, 0, line.stderr);
  assert.deepEqual(bytes, readFileSync(at("line.png")));
});

test("sends a picture, and saves each of a batch under its own name", async () => {
  const made = await client(["--image", "star.png", "--prompt", "a star", "--steps", "4", "--batch-size", "2", "--output", "new.jpg"]);
  assert.equal(made.code, 0, made.err);
  assert.ok(!existsSync(at("new.jpg")));
  const pictures = ["new-1.jpg", "new-2.jpg"].map((name) => readFileSync(at(name)));
  for (const bytes of pictures) assert.equal(bytes.readUInt16BE(0), 0xffd8);
  assert.notDeepEqual(pictures[0], pictures[1]);
});

test("takes the first free name where none was given", async () => {
  for (const name of ["picture-1.png", "picture-2.png"]) {
    const made = await client(SMALL);
    assert.equal(made.code, 0, made.err);
    assert.ok(existsSync(at(name)), made.err);
  }
});

test("leaves a job to the server, lists it, and fetches it later", async () => {
  const left = await client([...SMALL, "--no-wait"]);
  assert.equal(left.code, 0, left.err);
  const id = jobOf(left.err);
  await server.wait(id);
  const list = await client(["--list"]);
  assert.match(list.out, new RegExp(`^${id}  done +100\\.0`, "m"));
  const fetched = await client(["--job", id, "--output", "later.png"]);
  assert.equal(fetched.code, 0, fetched.err);
  assert.deepEqual(readFileSync(at("later.png")), readFileSync(at("star.png")));
});

test("cancels a job, and tells who follows it", async () => {
  let cancelled;
  const followed = await client([...LONG, "--output", "never.png"], { during: (child, id) => { cancelled = client(["--cancel", id]); } });
  assert.equal((await cancelled).code, 0);
  assert.equal(followed.code, 2);
  assert.match(followed.err, /the job was cancelled/);
  assert.ok(!existsSync(at("never.png")));
});

test("Ctrl-C cancels the job", async () => {
  const stopped = await client([...LONG, "--output", "never.png"], { during: (child) => child.kill("SIGINT") });
  assert.equal(stopped.code, 130, stopped.err);
  assert.match(stopped.err, /job \S+ is cancelled/);
  assert.equal((await server.wait(jobOf(stopped.err))).state, "cancelled");
});

test("passes on what the server refuses", async () => {
  const refused = await client([...SMALL, "--model", "no-such-model"]);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /no-such-model/);
  const missing = await client(["--job", "00000000-0000-4000-8000-000000000000"]);
  assert.notEqual(missing.code, 0);
  const bad = await client(["--job", "../../models"]);
  assert.equal(bad.code, 2);
  assert.match(bad.err, /--job is a job's id as `--list` shows it, not '\.\.\/\.\.\/models'/);
  const ending = await client([...SMALL, "--output", "star.tiff"]);
  assert.equal(ending.code, 2);
  assert.match(ending.err, /--output ends in \.png, .* not 'star\.tiff'/);
});

test("shows its credentials, and says so where they are wrong", async (t) => {
  const locked = await Server.start(["--api-key", "sesame-sesame-1"]);
  t.after(() => locked.stop());
  const with_key = (key) => client([...SMALL, "--output", "locked.png"], { to: locked.base, env: key ? { DIFFUSIONAPI_API_KEY: key } : {} });
  for (const key of ["", "wrong-wrong-wrong"]) {
    const refused = await with_key(key);
    assert.notEqual(refused.code, 0);
    assert.ok(!existsSync(at("locked.png")));
  }
  const made = await with_key("sesame-sesame-1");
  assert.equal(made.code, 0, made.err);
  assert.ok(existsSync(at("locked.png")));
});

test("names a server that is not there, and addresses that are none", async () => {
  const gone = await client(SMALL, { to: "http://127.0.0.1:9" });
  assert.notEqual(gone.code, 0);
  assert.match(gone.err, /127\.0\.0\.1/);
  for (const to of ["ftp://127.0.0.1", "file:///etc/passwd", "http://"]) {
    const no = await client(SMALL, { to });
    assert.equal(no.code, 2, to);
    assert.match(no.err, /--server/);
  }
});

/* Whatever answers at the address is not believed. */
const ID = "00000000-0000-4000-8000-000000000001";
const LIES = {
  "no JSON": () => "<html>hello</html>",
  "no job": () => "{}",
  "a path for a name": () => JSON.stringify({ job_id: "../../../etc/passwd" }),
  "a list": () => "[1,2,3]",
  "nesting without end": () => "[".repeat(100000),
  "a redirect to a file": (request, response) => response.writeHead(302, { location: "file:///etc/passwd" }),
  "pictures without number": (request) => JSON.stringify(request.method === "POST" ? { job_id: ID }
    : { job_id: ID, state: "done", images: 1e15, file_type: "../../x" }),
  "an ending on the way": (request, response) => { response.writeHead(200, { "content-length": 1000 }); return "{"; },
};

for (const [name, lie] of Object.entries(LIES))
  test(`is not led astray by ${name}`, async (t) => {
    const liar = http.createServer((request, response) => {
      const text = lie(request, response);
      response.on("error", () => {});
      if (typeof text === "string") response.write(text, () => response.destroy());
      else response.end();
    });
    await new Promise((done) => liar.listen(0, "127.0.0.1", done));
    t.after(() => { liar.closeAllConnections(); liar.close(); });
    const before_it = readdirSync(folder).sort();
    const { code, err } = await client(SMALL, { to: `http://127.0.0.1:${liar.address().port}` });
    assert.ok(code === 1 || code === 2, `${code}: ${err}`);
    assert.match(err, /^diffusionapi: /m);
    assert.deepEqual(readdirSync(folder).sort(), before_it);
  });
