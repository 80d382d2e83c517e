// Sends broken requests of many kinds and watches the server: it must not fall, answer 5xx but where it
// means to (503), nor grow.
//
//   node tests/malformed.mjs [--requests 100000] [--seed 1] [--clients 16]
//
// The kinds: noise, paths, headers, lengths and chunks, JSON bytes, JSON values, pictures, forms,
// queries, connections cut short. The same seed sends the same requests.
import { readFileSync } from "node:fs";
import net from "node:net";
import { parseArgs } from "node:util";
import { Server } from "./server.mjs";
import { png } from "./picture.mjs";

const { values: options } = parseArgs({ options: {
  requests: { type: "string", default: "100000" }, seed: { type: "string", default: "1" }, clients: { type: "string", default: "16" },
} });
const TOTAL = Number(options.requests), CLIENTS = Number(options.clients);
const DELIBERATE = new Set([501, 503]);
// Heaps settle at some size; more than this would be a leak. Sanitizers keep what was freed.
const GROWTH_KB = process.env.SANITIZED ? Infinity : 16 * 1024;

/** Small and repeatable: mulberry32. */
let state = Number(options.seed) >>> 0;
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];
const noise = (n) => Buffer.from(Array.from({ length: n }, () => below(256)));
const printable = (n) => Array.from({ length: n }, () => String.fromCharCode(32 + below(95))).join("");

/** A few bytes changed, lost, doubled. */
function mutate(bytes, times = 1 + below(6)) {
  let out = Buffer.from(bytes);
  for (let i = 0; i < times && out.length; i++) {
    const at = below(out.length);
    const how = below(4);
    if (how === 0) out[at] = below(256);
    else if (how === 1) out = Buffer.concat([out.subarray(0, at), out.subarray(at + 1 + below(8))]);
    else if (how === 2) out = Buffer.concat([out.subarray(0, at), noise(1 + below(8)), out.subarray(at)]);
    else out = Buffer.concat([out.subarray(0, at), out.subarray(Math.max(0, at - below(20)))]);
  }
  return out;
}

const PATHS = ["/", "/hello", "/health", "/models", "/models/aliases", "/loras", "/upscalers", "/sampling_methods", "/txt2img", "/img2img",
  "/queue", "/queue/x", "/queue/00000000-0000-4000-8000-000000000000", "/queue/x/events", "/images/x", "/images/x/1", "/plan", "/memory",
  "/img-info", "/openapi.json", "/docs", "/metrics", "/app.js", "/../etc/passwd", "/%2e%2e/%00", "/v1/models", "/sdapi/v1/options"];
const METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "CONNECT", "get", "G\tT", ""];
const POSTS = ["/txt2img", "/img2img", "/plan", "/img-info", "/sdapi/v1/txt2img", "/sdapi/v1/img2img", "/sdapi/v1/options", "/sdapi/v1/png-info",
  "/v1/images/generations", "/v1/images/edits"];
const FIELDS = ["prompt", "negative_prompt", "steps", "cfg_scale", "width", "height", "model", "sampler_name", "scheduler_type", "fileType",
  "jpeg_quality", "loras", "hires", "seed", "image", "mask", "resize_mode", "resize_to", "resize_by", "denoising_strength", "clip_skip", "eta",
  "size", "n", "response_format", "stream", "init_images", "enable_hr", "override_settings", "alwayson_scripts"];

function value(depth = 0) {
  const kinds = [() => null, () => true, () => false, () => below(3) - 1, () => random() * 1e6, () => 1e308, () => -1e18, () => "", () => printable(below(40)),
    () => "\u0000\ud800", () => "x".repeat(below(3000)), () => String(below(1000)), () => "Euler a", () => "../../etc/passwd"];
  if (depth < 3) {
    kinds.push(() => Array.from({ length: below(4) }, () => value(depth + 1)));
    kinds.push(() => Object.fromEntries(Array.from({ length: below(4) }, () => [pick([...FIELDS, "enabled", "scale", "name", "upscaler"]), value(depth + 1)])));
  }
  return pick(kinds)();
}

const request = (method, path, headers, body = "") => Buffer.concat([
  Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`, "latin1"), Buffer.from(body),
]);
const post = (path, body, type = "application/json") => request("POST", path, `Content-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`, body);
const small = (more) => ({ prompt: "x", width: 64, height: 64, steps: 1, sampler_name: "Euler", ...more });
const GOOD = Buffer.from(JSON.stringify(small({ loras: ["a", { name: "b", scale: 1 }], hires: { enabled: false }, seed: 1 })));
const PICTURE = png();

const KINDS = {
  noise: () => noise(1 + below(400)),
  path: () => request(pick(METHODS), mutate(Buffer.from(pick(PATHS) + pick(["", "?", "?a=%", `?${printable(20)}`]))).toString("latin1"), ""),
  headers: () => request(pick(["GET", "POST"]), pick(PATHS), Array.from({ length: below(150) }, () =>
    `${mutate(Buffer.from(pick(["Content-Length", "Transfer-Encoding", "Expect", "Origin", "Authorization", "Cookie", "Host", "Connection", "X"]))).toString("latin1")}: ${printable(below(60))}`).join("\r\n") + "\r\n"),
  lengths: () => request("POST", pick(POSTS), pick([`Content-Length: ${pick(["-1", "1e3", "99999999999999999999", "0x10", " 5", "5 5", ""])}\r\n`,
    "Content-Length: 5\r\nContent-Length: 6\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "Transfer-Encoding: gzip, chunked\r\n"]), "abcdef"),
  chunks: () => request("POST", pick(POSTS), "Transfer-Encoding: chunked\r\n", pick([`${below(40).toString(16)}\r\n${printable(below(40))}\r\n0\r\n\r\n`,
    "ffffffffffffffff\r\nx\r\n", "-1\r\nx\r\n0\r\n\r\n", "zz\r\n", `2\r\n{}\r\n0\r\n${printable(20)}\r\n\r\n`])),
  json_bytes: () => post(pick(POSTS), mutate(GOOD)),
  json_values: () => post(pick(POSTS), JSON.stringify(small(Object.fromEntries(Array.from({ length: 1 + below(5) }, () => [pick(FIELDS), value()]))))),
  pictures: () => post(pick(["/img-info", "/img2img", "/sdapi/v1/img2img", "/sdapi/v1/png-info"]), JSON.stringify(small({ image: mutate(PICTURE).toString("base64"), init_images: [mutate(PICTURE).toString("base64")], mask: pick([undefined, mutate(PICTURE).toString("base64")]) }))),
  forms: () => post(pick(POSTS), mutate(Buffer.from('--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nx\r\n--b--\r\n')), "multipart/form-data; boundary=b"),
  queries: () => request(pick(["GET", "DELETE"]), `${pick(["/queue", "/images/x", "/queue/x/events"])}?${pick(["state", "limit", "offset", "cursor", "n", "expires", "signature"])}=${encodeURIComponent(printable(below(30)))}`, ""),
  cut: () => { const whole = post(pick(POSTS), GOOD); return whole.subarray(0, below(whole.length)); },
};

/** The statuses of what came back; a client that has sent everything closes its side. */
function send(port, bytes) {
  return new Promise((resolve) => {
    let text = "";
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    socket.setTimeout(60000, () => socket.destroy(new Error("no answer")));
    socket.on("data", (chunk) => { if (text.length < 65536) text += chunk.toString("latin1"); });
    socket.on("end", () => socket.destroy());
    socket.on("error", (error) => { if (error.message === "no answer") text += "HTTP/1.1 599 no answer"; });
    socket.on("close", () => resolve([...text.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map((match) => Number(match[1]))));
    socket.end(bytes);
  });
}

const residentKb = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]);

const server = await Server.start(["--queue-size", "5", "--keep-jobs", "20", "--log-level", "warn", "--idle-seconds", "5"]);
const names = Object.keys(KINDS), statuses = {};
const bad = [];
let sent = 0;
async function client() {
  while (sent < TOTAL && bad.length < 10) {
    const name = names[sent++ % names.length];
    const bytes = KINDS[name]();
    const got = await send(server.port, bytes);
    for (const status of got.length ? got : ["none"]) {
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (status >= 500 && !DELIBERATE.has(status)) bad.push({ name, status, request: bytes.subarray(0, 400).toString("latin1") });
    }
  }
}

const memory = [];
const isLinux = process.platform === "linux";
const watch = setInterval(() => { if (isLinux) memory.push(residentKb(server.child.pid)); }, 200);
const begin = Date.now();
const warm = Math.min(TOTAL / 4, 5000); // heaps have their size then
const settled = new Promise((resolve) => {
  const timer = setInterval(() => {
    if (sent < warm) return;
    clearInterval(timer);
    resolve(isLinux ? residentKb(server.child.pid) : 0);
  }, 20);
});
await Promise.all(Array.from({ length: CLIENTS }, client));
const before = await settled;
clearInterval(watch);
const after = isLinux ? residentKb(server.child.pid) : 0;
const alive = (await server.get("/hello")).status === 200;
const how = await server.stop();

console.log(`${sent} requests in ${((Date.now() - begin) / 1000).toFixed(1)} s; statuses ${JSON.stringify(statuses)}`);
console.log(`resident: ${before} kB after ${warm} requests, ${after} kB at the end, ${Math.max(...memory, after)} kB at most`);
for (const one of bad) console.log(JSON.stringify(one));
if (bad.length || !alive || how.code !== 0 || after - before > GROWTH_KB) {
  console.log(`FAILED: alive ${alive}, ended ${JSON.stringify(how)}`);
  process.exit(1);
}
