// The server's native API. All that is known of its addresses and the shapes of its answers stands here;
// the rest of the page sees plain objects.

const KEY = "diffusionapi.key";
const POLL_MS = 1000;
let asking = null; // one question for a key at a time
let askForKey = async () => null;

/** What the server said no to: message is a sentence; field the key of the request it is about, or null. */
export class ApiError extends Error {
  constructor(message, { status = 0, field = null, body = {} } = {}) {
    super(message);
    this.status = status;
    this.field = field;
    this.body = body;
  }
}

/** ask(wrong) resolves to a key, or to null where the person would rather not. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

export const hasKey = () => Boolean(sessionStorage.getItem(KEY));
export const forgetKey = () => sessionStorage.removeItem(KEY);

const address = (path) => new URL(path, document.baseURI);

async function newKey(used) {
  // Somebody else may have asked while this request was under way.
  if (sessionStorage.getItem(KEY) !== used) return true;
  asking ??= askForKey(used !== null).then((key) => {
    asking = null;
    if (key) sessionStorage.setItem(KEY, key);
    return Boolean(key);
  });
  return asking;
}

async function send(method, path, { body, signal, accept } = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const headers = {};
    if (key) headers.Authorization = `Bearer ${key}`;
    if (accept) headers.Accept = accept;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let reply;
    try {
      reply = await fetch(address(path), {
        // "omit": the browser's own question for a name and password would come before ours.
        method, headers, signal, credentials: "omit", cache: method === "GET" ? "no-cache" : undefined,
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError("The server does not answer. Is it still running?");
    }
    if (reply.status !== 401) return reply;
    if (!(await newKey(key))) throw new ApiError("This server asks for an API key.", { status: 401 });
  }
}

async function failure(reply) {
  let body = {};
  try {
    body = await reply.json();
  } catch {
    // Not ours, a proxy's page perhaps; the status has to do.
  }
  const detail = typeof body.detail === "string" ? body.detail : body.detail?.message ?? body.error?.message ?? body.error;
  const text = typeof detail === "string" && detail ? detail : `The server answered ${reply.status} ${reply.statusText}.`;
  return new ApiError(text, { status: reply.status, field: body.field ?? null, body });
}

async function call(method, path, options) {
  const reply = await send(method, path, options);
  if (!reply.ok) throw await failure(reply);
  return reply.json();
}

export const health = (signal) => call("GET", "health", { signal });
export const memory = () => call("GET", "memory");
export const imageInfo = (dataUrl) => call("POST", "img-info", { body: { image: dataUrl } });
export const plan = (request, signal) => call("POST", "plan", { body: request, signal });
export const remove = (id) => call("DELETE", `queue/${id}`);

/** A list that a server may not have is an empty one. */
async function list(path, key) {
  try {
    return (await call("GET", path))[key] ?? [];
  } catch (error) {
    if (error.status === 404) return [];
    throw error;
  }
}

export async function lists() {
  const [models, loras, upscalers, vaes, sampling] = await Promise.all([
    list("models", "models"), list("loras", "loras"), list("upscalers", "upscalers"), list("vaes", "vaes"),
    call("GET", "sampling_methods"),
  ]);
  return { models, loras, upscalers, vaes, samplers: sampling.sampling_methods, schedulers: sampling.scheduler_types };
}

/** request.mode says which; the reply is {job_id, seed}. */
export const submit = (request) => {
  const { mode, ...body } = request;
  return call("POST", mode, { body });
};

/** How many pictures a job that is done has made. */
export const count = (job) => job.images || 1;

export const job = (id) => call("GET", `queue/${id}?image=false`);

/** state: "active", "done", ...; the newest first. cursor: what the page before gave as next. */
export async function jobs({ state, limit = 24, cursor = "" }) {
  const page = await call("GET", `queue?full=1&state=${state}&limit=${limit}&cursor=${encodeURIComponent(cursor)}`);
  return { jobs: page.jobs, next: page.next_cursor ?? null, total: page.total ?? page.counts?.[state] ?? null };
}

/** The events of a text/event-stream, as {event, data}. */
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = { event: "message", data: "" };
      for (const line of block.split("\n")) {
        const at = line.indexOf(":");
        const name = line.slice(0, at);
        if (name in fields) fields[name] = line.slice(at + 1).trimStart();
      }
      if (fields.data) yield fields;
    }
  }
}

export const isFinal = (state) => state === "done" || state === "error" || state === "cancelled";

const pause = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener("abort", () => {
    clearTimeout(timer);
    reject(new DOMException("stopped", "AbortError"));
  }, { once: true });
});

async function watchEvents(id, onChange, signal) {
  const reply = await send("GET", `queue/${id}/events`, { signal, accept: "text/event-stream" });
  if (!reply.ok) throw await failure(reply);
  if (!reply.headers.get("Content-Type")?.startsWith("text/event-stream")) return false;
  for await (const { data } of events(reply.body)) {
    const news = JSON.parse(data);
    if (isFinal(news.state) || news.state === "removed") return true;
    onChange(news);
  }
  return false;
}

/** Calls onChange with what is new of the job (its state, progress, a preview) until it has ended, and returns the whole job.
 *  By events; where they break off, by asking once a second. */
export async function watch(id, onChange, signal) {
  let ended = false;
  try {
    ended = await watchEvents(id, onChange, signal);
  } catch (error) {
    if (error.name === "AbortError" || error.status === 404 || error.status === 401) throw error;
  }
  for (;;) {
    try {
      const state = await job(id);
      if (ended || isFinal(state.state)) return state;
      onChange(state);
    } catch (error) {
      // A server that restarts is worth waiting for: an accepted job is on its disk.
      if (error.status) throw error;
      onChange({ job_id: id, state: "unreachable" });
    }
    await pause(POLL_MS, signal);
  }
}

const imagePath = (id, n) => `images/${id}${n ? `/${n}` : ""}`;

/** Shows picture n of a job in img. With a key in use a plain address would be refused, so it is fetched. */
export async function showImage(img, id, n = 0) {
  if (!hasKey()) {
    img.src = address(imagePath(id, n)).href;
    return;
  }
  const url = URL.createObjectURL(await imageBlob(id, n));
  img.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
  img.src = url;
}

export async function imageBlob(id, n = 0) {
  const reply = await send("GET", imagePath(id, n));
  if (!reply.ok) throw await failure(reply);
  return reply.blob();
}

/** Makes a link that saves picture n of the job under a readable name. */
export function offerDownload(link, job, n = 0) {
  const name = `${job.job_id.slice(0, 8)}-${n}.${job.file_type ?? "png"}`;
  link.download = name;
  link.href = address(imagePath(job.job_id, n)).href;
  link.onclick = !hasKey() ? null : async (event) => {
    event.preventDefault();
    const url = URL.createObjectURL(await imageBlob(job.job_id, n));
    const save = document.createElement("a");
    save.href = url;
    save.download = name;
    save.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  };
}
