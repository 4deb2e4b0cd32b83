// Changes of a server by an operator: each dialog says what will happen, and the message after it can undo the change. Neither
// writes over what another operator has changed meanwhile.

import { changeIf, look, serverPath } from "./api.js";
import { confirm } from "./dialog.js";
import { h } from "./dom.js";
import { plural } from "./format.js";
import { icon } from "./icons.js";
import { isOut } from "./states.js";
import { toast } from "./toast.js";

/** As the API takes it. */
const WEIGHT_MAX = 1000;

/** How many other servers of the pool get requests. */
function others(pool, server) {
  return pool.servers.filter((other) => other.id !== server.id && other.state === "up" && other.weight > 0).length;
}

function warning(pool, server) {
  const left = others(pool, server);
  if (left > 0) return `${plural(left, "other server")} of the pool ${left === 1 ? "takes" : "take"} over its share.`;
  return "No other server of the pool is up: clients will get 503 for its requests.";
}

function wanted(server) {
  return { draining: "drain", disabled: "disable" }[server.state] ?? "ready";
}

/** As in `draining with weight 3`. */
const said = ({ state, weight }) => `${state} with weight ${weight}`;

const isSame = (one, other) => wanted(one) === wanted(other) && one.weight === other.weight;

/** One dialog at a time: between a click and its dialog, the process is asked. */
let opening = false;

/** What the process says of the server now, with its tag; null, and a message, if it says nothing. */
async function seen(pool, server) {
  if (opening) return null;
  opening = true;
  try {
    return await look(serverPath(pool.name, server.id));
  } catch (fault) {
    toast(`Cannot change ${server.id}: ${fault.message}`, { severity: "critical" });
    return null;
  } finally {
    opening = false;
  }
}

/** Makes the change if the pool is still as it was when the dialog opened. Else the dialog says what is so now, and may ask again. */
async function put(pool, now, body, why) {
  const path = serverPath(pool.name, now.found.id);
  try {
    return await changeIf(now.tag, "PUT", path, body, why);
  } catch (fault) {
    if (fault.status !== 412) throw fault;
    const before = now.found;
    Object.assign(now, await look(path));
    const what = isSame(before, now.found) ? `Pool ${pool.name} has been changed meanwhile; ${now.found.id} is still ${said(now.found)}.`
      : `${now.found.id} has been changed meanwhile: it is ${said(now.found)} now.`;
    throw new Error(`${what} Nothing was changed by you. Send again to change it all the same.`);
  }
}

/** Takes a change back, unless the server has been changed once more. Changes of other servers of the pool do not matter. */
async function takeBack(path, done, back) {
  try {
    return await changeIf(done.tag, "PUT", path, back, "undo");
  } catch (fault) {
    if (fault.status !== 412) throw fault;
    const now = await look(path);
    if (!isSame(now.found, done.found)) throw new Error(`${now.found.id} has been changed since: it is ${said(now.found)} now.`);
    return changeIf(now.tag, "PUT", path, back, "undo");
  }
}

function changed(pool, text, done, back) {
  const { id } = done.found;
  toast(text, { action: { label: "Undo", run: async () => {
    try {
      await takeBack(serverPath(pool.name, id), done, back);
      toast(`Undone: ${id} is as it was before.`);
    } catch (fault) {
      toast(`Cannot undo: ${fault.message}`, { severity: "critical" });
    }
  } } });
}

async function setState(pool, server, state, { title, says, action, danger, done }) {
  const now = await seen(pool, server);
  if (now === null) return;
  const result = await confirm({ title, says, action, danger, submit: (why) => put(pool, now, { state }, why) });
  if (result !== null) changed(pool, done, result, { state: wanted(now.found) });
}

/** Takes a server out gently. */
export function drain(pool, server) {
  const running = server.in_flight > 0
    ? `The server finishes its ${plural(server.in_flight, "request")} in flight.` : "No request is in flight there.";
  return setState(pool, server, "drain", {
    title: `Drain ${server.id}`,
    says: `${server.id} of pool ${pool.name} gets no new requests. ${running} ${warning(pool, server)}`,
    action: "Drain", danger: others(pool, server) === 0, done: `${server.id} is draining.`,
  });
}

/** Takes a server out at once. */
export function disable(pool, server) {
  return setState(pool, server, "disable", {
    title: `Disable ${server.id}`,
    says: `${server.id} of pool ${pool.name} gets no new requests. Its WebSockets and relayed connections are closed at once, and its health checks stop. ${warning(pool, server)}`,
    action: "Disable", danger: true, done: `${server.id} is disabled.`,
  });
}

/** Gives a server traffic again. */
export function enable(pool, server) {
  return setState(pool, server, "ready", {
    title: `Enable ${server.id}`,
    says: `${server.id} of pool ${pool.name} gets requests again, with health checks as soon as they pass.`,
    action: "Enable", danger: false, done: `${server.id} is enabled.`,
  });
}

/** Changes a server's weight. */
export async function weigh(pool, server) {
  const now = await seen(pool, server);
  if (now === null) return;
  const input = h("input", {
    type: "number", name: "weight", min: "0", max: String(WEIGHT_MAX), step: "1", required: true, value: String(now.found.weight),
    class: "input", autofocus: true,
  });
  const preview = h("p", { class: "quiet", role: "status" });
  const show = () => {
    const rest = pool.servers.filter((other) => other.id !== server.id && other.state === "up")
      .reduce((sum, other) => sum + other.weight, 0);
    const weight = Number(input.value);
    const share = weight + rest > 0 ? Math.round((weight / (weight + rest)) * 100) : 0;
    preview.textContent = weight === 0
      ? "Weight 0: it gets no new requests, except those of its sticky sessions."
      : `By weight, about ${share} % of the pool's requests.`;
  };
  input.addEventListener("input", show);
  show();
  const result = await confirm({
    title: `Weight of ${server.id}`,
    says: `${server.id} of pool ${pool.name} has weight ${now.found.weight}. A server of weight 2 gets twice as much as one of weight 1.`,
    fields: [h("label", { class: "field" }, h("span", {}, `Weight, 0 to ${WEIGHT_MAX}`), input), preview],
    action: "Set the weight",
    submit: (why) => put(pool, now, { weight: Number(input.value) }, why),
  });
  if (result !== null) changed(pool, `${server.id} has weight ${input.value}.`, result, { weight: now.found.weight });
}

/** The buttons for a server; `update(pool, server)` shows those that fit its state. */
export function buttons(size = "small") {
  let [pool, server] = [null, null];
  const button = (picture, label, run) => h("button", { type: "button", class: "button " + size, title: label, on: { click: () => run(pool, server) } },
    icon(picture), h("span", { class: "label" }, label));
  const [out, off, on, weight] = [
    button("draining", "Drain", drain), button("disabled", "Disable", disable), button("up", "Enable", enable), button("weight", "Weight", weigh),
  ];
  const element = h("div", { class: "buttons" }, on, out, off, weight);
  const update = (thePool, theServer) => {
    [pool, server] = [thePool, theServer];
    on.hidden = !isOut(server);
    out.hidden = isOut(server);
    off.hidden = server.state === "disabled";
    for (const [it, verb] of [[out, "Drain"], [off, "Disable"], [on, "Enable"], [weight, "Weight of"]]) {
      it.setAttribute("aria-label", `${verb} ${server.id}`);
    }
  };
  return { element, update };
}
