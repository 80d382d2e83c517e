// OpenAI's image endpoints over a socket, with the demo model. The official client: tests/clients.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { inflateSync } from "node:zlib";
import { Server } from "./server.mjs";
import { png, rgba } from "./picture.mjs";

const SMALL = { prompt: "a red circle on a blue background", size: "64x64", steps: 2, seed: 5 };
let server;

before(async () => { server = await Server.start(); });
after(async () => assert.deepEqual(await server?.stop(), { code: 0, signal: null }));

/** Width and height of a PNG in base64. */
function size(b64) {
  const bytes = Buffer.from(b64, "base64");
  assert.equal(bytes.subarray(1, 4).toString(), "PNG");
  return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
}

function generate(body, headers) {
  return server.post("/v1/images/generations", body, { "content-type": "application/json", ...headers });
}

/** A form as official clients send it: chunked, without a length. */
async function form(path, fields) {
  const data = new FormData();
  for (const [name, value, file] of fields) {
    if (file) data.append(name, new Blob([value], { type: "image/png" }), file);
    else data.append(name, value);
  }
  const whole = new Response(data);
  const reply = await server.fetch(path, {
    method: "POST", body: whole.body, duplex: "half", headers: { "content-type": whole.headers.get("content-type") },
  });
  return { status: reply.status, headers: reply.headers, body: await reply.json() };
}

function events(text) {
  return text.split("\n\n").filter((part) => part.includes("data: ")).map((part) => {
    const event = /^event: (.*)$/m.exec(part)[1];
    const data = JSON.parse(/^data: (.*)$/m.exec(part)[1]);
    assert.equal(event, data.error ? "error" : data.type);
    return data;
  });
}

test("lists models, and tells of one", async () => {
  const { body } = await server.get("/v1/models");
  assert.equal(body.object, "list");
  const demo = body.data.find((model) => model.id === "demo");
  assert.equal(demo.object, "model");
  assert.equal(typeof demo.created, "number");
  assert.equal(typeof demo.owned_by, "string");
  assert.equal((await server.get("/v1/models/demo")).body.id, "demo");
  const { status, body: error } = await server.get("/v1/models/some%2Fother");
  assert.equal(status, 404);
  assert.equal(error.error.code, "model_not_found");
  assert.deepEqual(Object.keys(error.error).sort(), ["code", "message", "param", "type"]);
});

test("makes pictures in base64, a seed after the other", async () => {
  const { status, body, headers } = await generate({ ...SMALL, n: 2 });
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(body.data.length, 2);
  assert.ok(body.data.every((item) => item.b64_json && !("url" in item)));
  assert.notEqual(body.data[0].b64_json, body.data[1].b64_json);
  assert.deepEqual(size(body.data[0].b64_json), [64, 64]);
  assert.equal(body.size, "64x64");
  assert.ok(Math.abs(body.created - Date.now() / 1000) < 600);
  assert.equal(body.usage.total_tokens, 0);
  assert.ok(body.memory.planned_peak_bytes > 0);
  assert.ok(headers.get("x-request-id"));
  const again = (await generate({ ...SMALL, seed: 6 })).body;
  assert.equal(again.data[0].b64_json, body.data[1].b64_json);
});

test("gives addresses where they are asked for, and to old clients", async () => {
  for (const body of [{ ...SMALL, response_format: "url" }, { ...SMALL, model: "dall-e-2" }]) {
    const { data } = (await generate(body)).body;
    assert.deepEqual(Object.keys(data[0]), ["url"]);
    assert.ok(data[0].url.startsWith(`${server.base}/images/`));
    const picture = await fetch(data[0].url);
    assert.equal(picture.headers.get("content-type"), "image/png");
    assert.equal(Buffer.from(await picture.arrayBuffer()).subarray(1, 4).toString(), "PNG");
  }
  const { data } = (await generate({ ...SMALL, model: "gpt-image-1" })).body;
  assert.deepEqual(Object.keys(data[0]), ["b64_json"]);
});

test("takes null for every optional field, the formats, and what it does not know", async () => {
  const nothing = Object.fromEntries(["model", "n", "quality", "style", "response_format", "output_format", "output_compression",
    "background", "moderation", "stream", "partial_images", "user"].map((key) => [key, null]));
  assert.equal((await generate({ ...SMALL, ...nothing, whatever: 1 })).status, 200);
  const { body } = await generate({ ...SMALL, output_format: "jpeg", output_compression: 50 });
  assert.equal(Buffer.from(body.data[0].b64_json, "base64").readUInt16BE(0), 0xffd8);
  assert.equal(body.output_format, "jpeg");
  const webp = (await generate({ ...SMALL, output_format: "webp" })).body.data[0].b64_json;
  assert.equal(Buffer.from(webp, "base64").subarray(8, 12).toString(), "WEBP");
});

test("takes the model's own size for auto", async () => {
  const { native_side } = (await server.get("/models")).body.models.find((model) => model.name === "demo");
  for (const auto of ["auto", null]) {
    const { body } = await generate({ ...SMALL, size: auto });
    assert.equal(body.size, `${native_side}x${native_side}`);
  }
});

test("tells the size that was asked for where memory allows a smaller one", async () => {
  const small = await Server.start(["--max-image-size", "128x128"]);
  const reply = await small.post("/v1/images/generations", { ...SMALL, size: "256x256" });
  assert.equal(reply.status, 200, JSON.stringify(reply.body));
  assert.equal(reply.body.size, "128x128");
  assert.equal(reply.headers.get("x-size-adjusted-from"), "256x256");
  assert.deepEqual(await small.stop(), { code: 0, signal: null });
});

test("refuses in OpenAI's words what cannot be", async () => {
  const rows = [
    [{}, "prompt", "missing_required_parameter"], [{ prompt: 5 }, "prompt"], [{ ...SMALL, n: 0 }, "n"], [{ ...SMALL, n: 11 }, "n"],
    [{ ...SMALL, n: "2" }, "n"], [{ ...SMALL, size: "10x10" }, "size"], [{ ...SMALL, size: "64" }, "size"],
    [{ ...SMALL, size: "99999x64" }, "size"], [{ ...SMALL, background: "transparent" }, "background"],
    [{ ...SMALL, quality: "best" }, "quality"], [{ ...SMALL, output_format: "gif" }, "output_format"],
    [{ ...SMALL, stream: "true" }, "stream"], [{ ...SMALL, stream: true, n: 2 }, "n"], [{ ...SMALL, partial_images: 4 }, "partial_images"],
    [{ ...SMALL, steps: 100000 }, "steps"], [{ ...SMALL, sampler_name: "nope" }, "sampler_name"],
  ];
  for (const [body, param, code] of rows) {
    const { status, body: { error } } = await generate(body);
    assert.equal(status, 400, JSON.stringify([body, error]));
    assert.equal(error.type, "invalid_request_error");
    assert.equal(error.param, param, JSON.stringify([body, error]));
    assert.equal(error.code, code ?? "invalid_value");
    assert.ok(error.message.includes(param), error.message);
  }
  for (const text of ["", "{", "[]", "\"x\""]) {
    const { status, body } = await generate(text);
    assert.equal(status, 400);
    assert.equal(body.error.type, "invalid_request_error");
  }
  const missing = await generate({ ...SMALL, model: "nobody" });
  assert.equal(missing.status, 404);
  assert.equal(missing.body.error.code, "model_not_found");
  assert.equal((await server.get("/v1/nothing")).body.error.type, "invalid_request_error");
  assert.equal((await server.ask("DELETE", "/v1/models")).status, 405);
});

test("answers preflights and odd credentials while it is open", async () => {
  assert.ok((await server.ask("OPTIONS", "/v1/images/generations")).status < 300);
  for (const authorization of ["Bearer ", "Basic ", "Basic dW5kZWZpbmVk", "Bearer sk-x"])
    assert.equal((await server.get("/v1/models", { authorization })).status, 200);
});

test("streams partial pictures and one whole one", async () => {
  const reply = await server.fetch("/v1/images/generations", {
    method: "POST", body: JSON.stringify({ ...SMALL, size: "256x256", steps: 40, stream: true, partial_images: 2 }),
  });
  assert.equal(reply.headers.get("content-type"), "text/event-stream");
  const got = events(await reply.text());
  const last = got.pop();
  assert.equal(last.type, "image_generation.completed");
  assert.deepEqual(size(last.b64_json), [256, 256]);
  assert.equal(last.size, "256x256");
  assert.ok(last.usage);
  assert.ok(got.length <= 2);
  got.forEach((event, i) => {
    assert.equal(event.type, "image_generation.partial_image");
    assert.equal(event.partial_image_index, i);
    assert.ok(size(event.b64_json)[0] > 0);
  });
});

test("edits a picture, from forms and from JSON", async () => {
  const picture = png();
  const fields = [["image", picture, "a.png"], ["prompt", "a white square"], ["steps", "4"], ["seed", "3"], ["n", "1"]];
  const { status, body } = await form("/v1/images/edits", fields);
  assert.equal(status, 200, JSON.stringify(body));
  assert.deepEqual(size(body.data[0].b64_json), [64, 64]);
  const list = await form("/v1/images/edits", [["image[]", picture, "ä.png"], ["image[]", picture, "b.png"], ...fields.slice(1)]);
  assert.equal(list.body.data[0].b64_json, body.data[0].b64_json);
  assert.ok(list.body.warnings.some((text) => text.includes("first image")));
  const json = await server.post("/v1/images/edits", {
    images: [{ image_url: `data:image/png;base64,${picture.toString("base64")}` }], prompt: "a white square", steps: 4, seed: 3,
  });
  assert.equal(json.body.data[0].b64_json, body.data[0].b64_json);
  const sized = await form("/v1/images/edits", [...fields, ["size", "128x64"]]);
  assert.deepEqual(size(sized.body.data[0].b64_json), [128, 64]);
});

/** Rows of RGB of a PNG without interlacing, filters undone. */
function pixels(b64) {
  const bytes = Buffer.from(b64, "base64"), parts = [];
  const [width, height] = size(b64);
  for (let at = 8; at < bytes.length;) {
    const length = bytes.readUInt32BE(at);
    if (bytes.subarray(at + 4, at + 8).toString() === "IDAT") parts.push(bytes.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  const raw = inflateSync(Buffer.concat(parts)), stride = width * 3, out = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y++)
    for (let i = 0; i < stride; i++) {
      const left = i >= 3 ? out[y * stride + i - 3] : 0, up = y ? out[(y - 1) * stride + i] : 0;
      const corner = y && i >= 3 ? out[(y - 1) * stride + i - 3] : 0, guess = left + up - corner;
      const distances = [left, up, corner].map((value) => Math.abs(guess - value));
      const paeth = [left, up, corner][distances.indexOf(Math.min(...distances))];
      const add = [0, left, up, (left + up) >> 1, paeth][raw[y * (stride + 1)]];
      out[y * stride + i] = raw[y * (stride + 1) + 1 + i] + add;
    }
  return out;
}

test("paints anew what is transparent in the mask, and nothing else", async () => {
  const picture = png();
  // The right half is transparent.
  const mask = rgba(64, 64, (x) => [0, 0, 0, x < 32 ? 255 : 0]);
  const { status, body } = await form("/v1/images/edits", [["image", picture, "a.png"], ["mask", mask, "m.png"],
    ["prompt", "a yellow star"], ["steps", "8"], ["strength", "0.9"], ["seed", "3"]]);
  assert.equal(status, 200, JSON.stringify(body));
  const before = pixels(picture.toString("base64")), later = pixels(body.data[0].b64_json);
  let left = 0, right = 0;
  for (let y = 0; y < 64; y++)
    for (let x = 0; x < 64; x++)
      for (let c = 0; c < 3; c++) {
        const difference = Math.abs(before[(y * 64 + x) * 3 + c] - later[(y * 64 + x) * 3 + c]);
        if (x < 16) left = Math.max(left, difference);
        if (x >= 48) right = Math.max(right, difference);
      }
  assert.equal(left, 0);
  assert.ok(right > 20, `right half differs by ${right}`);
});

test("refuses edits without a picture, with a bad one, or with a mask that does not fit", async () => {
  const picture = png(), prompt = ["prompt", "x"];
  const rows = [
    [[prompt], "image"], [[["image", "no picture", "a.png"], prompt], "image"], [[["image", picture, "a.png"]], "prompt"],
    [[["image", picture, "a.png"], ["mask", picture, "m.png"], prompt], "mask"],
    [[["image", picture, "a.png"], ["mask", rgba(64, 64, () => [0, 0, 0, 255]), "m.png"], prompt], "mask"],
    [[["image", picture, "a.png"], ["mask", rgba(8, 8, () => [0, 0, 0, 0]), "m.png"], prompt], "mask"],
    [[["image", picture, "a.png"], prompt, ["n", "many"]], "n"],
  ];
  for (const [fields, param] of rows) {
    const { status, body } = await form("/v1/images/edits", fields);
    assert.equal(status, 400, JSON.stringify(body));
    assert.equal(body.error.param, param, JSON.stringify(body));
  }
  for (const image_url of ["https://example.invalid/a.png", 7]) {
    const { status, body } = await server.post("/v1/images/edits", { images: [{ image_url }], prompt: "x" });
    assert.equal(status, 400);
    assert.equal(body.error.param, "image");
  }
  const { status } = await server.post("/v1/images/edits", { images: [{ file_id: "f" }], prompt: "x" });
  assert.equal(status, 400);
});

test("varies a picture", async () => {
  const { status, body } = await form("/v1/images/variations", [["image", png(), "a.png"], ["n", "2"], ["steps", "2"]]);
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(body.data.length, 2);
});

test("cancels the job of a client that has gone", async () => {
  const gone = new AbortController();
  const call = server.fetch("/v1/images/generations", {
    method: "POST", signal: gone.signal, body: JSON.stringify({ ...SMALL, size: "512x512", steps: 150, n: 10 }),
  });
  let job;
  while (!job) {
    job = (await server.get("/queue?state=active")).body.jobs[0];
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  gone.abort();
  await assert.rejects(call);
  assert.equal((await server.wait(job.job_id)).state, "cancelled");
});
