// Starts the program as a server with a data folder of its own, and asks it things. For tests/*.mjs.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export const PROGRAM = resolve(process.env.DIFFUSIONAPI ?? "build/release/diffusionapi");
const START_MS = 60000;

/** A server on a free port of the loopback. args: more flags; data: a folder to keep. */
export class Server {
  static async start(args = [], { data, env = {}, cwd } = {}) {
    const server = new Server();
    server.folder = data ?? mkdtempSync(join(tmpdir(), "serve-test-"));
    server.ownsFolder = !data;
    server.log = "";
    server.child = spawn(PROGRAM, ["serve", "--port", "0", "--data-dir", server.folder, ...args], {
      stdio: ["ignore", "pipe", "pipe"], cwd, env: { ...process.env, ...env },
    });
    server.ended = new Promise((resolve) => server.child.on("close", (code, signal) => resolve({ code, signal })));
    server.child.stderr.on("data", (bytes) => { server.log += bytes; });
    let out = "";
    await new Promise((done, reject) => {
      const timer = setTimeout(() => reject(new Error(`no server after ${START_MS} ms: ${server.log}`)), START_MS);
      server.child.stdout.on("data", (bytes) => {
        out += bytes;
        if (!out.includes("Ctrl-C")) return;
        clearTimeout(timer);
        done();
      });
      server.ended.then(({ code }) => {
        clearTimeout(timer);
        reject(new Error(`the server ended with ${code}: ${server.log}`));
      });
    });
    [, server.scheme, server.port] = /page +(https?):\/\/.*:(\d+)\//.exec(out);
    server.base = `${server.scheme}://127.0.0.1:${server.port}`;
    return server;
  }

  fetch(path, options) {
    return fetch(this.base + path, options);
  }

  /** {status, headers, body}; the body is parsed where it is JSON. */
  async ask(method, path, body, headers = {}) {
    const reply = await this.fetch(path, {
      method, headers, body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await reply.text();
    const isJson = reply.headers.get("content-type")?.startsWith("application/json");
    return { status: reply.status, headers: reply.headers, body: isJson && text ? JSON.parse(text) : text };
  }

  get(path, headers) {
    return this.ask("GET", path, undefined, headers);
  }

  post(path, body, headers) {
    return this.ask("POST", path, body, headers);
  }

  /** Waits until the job has ended, and returns it. */
  async wait(id, { image = false, limit_ms = 240000, pause_ms = 50 } = {}) {
    const end = Date.now() + limit_ms;
    for (;;) {
      const { body } = await this.get(`/queue/${id}?image=${image}`);
      if (["done", "error", "cancelled", undefined].includes(body.state)) return body;
      if (Date.now() > end) throw new Error(`job ${id} is still ${body.state}: ${this.log}`);
      await new Promise((resolve) => setTimeout(resolve, pause_ms));
    }
  }

  /** Bytes on a connection of its own; resolves to what came until it was closed. */
  raw(bytes, { pace_ms = 0 } = {}) {
    return new Promise((resolve) => {
      let got = "";
      const socket = net.connect(this.port, "127.0.0.1");
      socket.on("data", (chunk) => { got += chunk.toString("latin1"); });
      socket.on("error", () => {});
      socket.on("close", () => resolve(got));
      if (!pace_ms) {
        socket.write(bytes);
        return;
      }
      let i = 0;
      const timer = setInterval(() => {
        if (socket.destroyed || i >= bytes.length) clearInterval(timer);
        else socket.write(bytes[i++]);
      }, pace_ms);
    });
  }

  /** SIGTERM, and how it ended. */
  async stop(signal = "SIGTERM") {
    this.child.kill(signal);
    const how = await this.ended;
    if (this.ownsFolder) rmSync(this.folder, { recursive: true, force: true });
    return how;
  }
}

/** A small picture for img2img: 64x64, made by hand so that no library is needed. */
export { default as PICTURE } from "./picture.mjs";
