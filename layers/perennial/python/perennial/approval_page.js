"use strict";
/* The page where people decide. It signs in by an authorization code with PKCE (RFC 7636), and keeps the token in this
   tab's memory alone. All text is written by strangers: it is only ever put in as text. */

const KEPT = "perennial.sign-in";
const PAGES = 5; // of a list, each of 100
const KINDS = {
  request: {
    path: "requests", reads: "requests:read", waits: "waiting",
    facts: { asked_by: "Asked by", principal: "Principal", asked_at: "Asked", reason: "Reason", owner: "Owner",
      environment: "Environment", expires_at: "Decide by", ended_at: "Ended" },
    apart: ["kind", "managed", "message", "digest", "needs", "decisions"],
    done: { approval: "approved", rejection: "rejected" },
  },
  exception: {
    path: "exceptions", reads: "exceptions:read", waits: "asked",
    facts: { asked_by: "Asked by", asked_at: "Asked", reason: "Reason", owner: "Owner", environment: "Environment",
      ends: "Holds until", decided_by: "Decided by", decided_at: "Decided", decision: "Decision", ended_by: "Ended by",
      ended_at: "Ended", ended_why: "Ended because" },
    apart: ["rule"],
    done: { approval: "granted", rejection: "rejected" },
  },
};
const TIMES = ["asked_at", "expires_at", "ended_at", "decided_at", "ends"];
const LABELS = { why: "Tell the CA", version: "Version", force: "At once" };
const STRANGE = new RegExp( // as cli/plain.py: what could hide text or turn its direction
  "[\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-" +
  "\\u206f\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\\u{e0000}-\\u{e0fff}\\ud800-\\udfff]", "gu");

/* --- pure --- */

function plain(value) {
  return String(value).replace(STRANGE, (found) => "\\u{" + found.codePointAt(0).toString(16) + "}");
}

/* What a fragment wants: {kind, id}, or null for the lists. */
function wanted(fragment) {
  const found = /^#(request|exception)=([0-9a-f]{32})$/.exec(fragment);
  return found ? { kind: found[1], id: found[2] } : null;
}

/* The leaves of a document with their paths; what is empty is left out. */
function flat(value, path = "") {
  if (Array.isArray(value) && !value.some((each) => each !== null && typeof each === "object"))
    return value.length ? [[path, value.join(", ")]] : [];
  if (value !== null && typeof value === "object")
    return Object.entries(value).flatMap(([name, each]) => flat(each, path ? path + "." + name : name));
  if (value === null || value === undefined || value === "" || value === 0 || value === false) return [];
  return [[path, value === true ? "yes" : String(value)]];
}

/* Everything that is asked for, flat. What this page does not know is in it too. */
function asked(kind, document) {
  const apart = new Set([...KINDS[kind].apart, ...Object.keys(KINDS[kind].facts), "id", "state", "revision"]);
  return flat(Object.fromEntries(Object.entries(document).filter(([name]) => !apart.has(name))));
}

function label(path) {
  return LABELS[path] || path.replace(/^(declaration|selection)\./, "").replaceAll("_", " ");
}

/* Rows of field, before and after: those that change; `before` is a declaration. */
function changes(before, after) {
  const old = new Map(flat(before)), next = new Map(flat(after));
  return [...new Set([...old.keys(), ...next.keys()])].sort()
    .filter((name) => old.get(name) !== next.get(name))
    .map((name) => [name, old.get(name) ?? "", next.get(name) ?? ""]);
}

function need(each) {
  const where = each.environment ? " in " + each.environment : "";
  return each.people + " of " + (each.owner || each.role) + where;
}

function policy(document) {
  const needs = document.needs.map(need);
  return "It is allowed, and needs " + (needs.length ? needs.join(" and ") : "nobody");
}

function decided(each) {
  return each.verdict + " by " + each.name + ", " + when(each.at) + (each.reason ? ": " + each.reason : "");
}

function when(text) {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return String(text);
  return time.toISOString().slice(0, 16).replace("T", " ") + " UTC";
}

function title(kind, document) {
  if (kind === "exception") return "Suspend " + document.rule;
  return document.kind[0].toUpperCase() + document.kind.slice(1) + " " + document.managed;
}

/* What a request without a declaration means, as messages to approvers say it. */
function meaning(document) {
  if (document.kind === "retire")
    return "It is no longer renewed; its versions and keys are removed after the grace period.";
  if (document.kind === "revoke") return "The version is revoked at its issuer for good, and what serves is renewed.";
  if (document.kind !== "renew") return "";
  return "It is renewed now" + (document.force ? ", whatever its windows are." : " or in its next window.");
}

/* Whether a grant, as it is written (role@team/environment), reaches a place. */
function reaches(grant, owner, environment) {
  const at = grant.indexOf("@");
  if (at < 0) return true;
  const place = grant.slice(at + 1), slash = place.lastIndexOf("/");
  const team = slash < 0 ? place : place.slice(0, slash);
  return (team === "*" || team === owner) && (slash < 0 || place.slice(slash + 1) === environment);
}

/* Whether a person's rights seem to be enough to approve. The API decides; this only sorts and warns. */
function mayApprove(me, kind, document) {
  if (isOwn(me, kind, document) || hasApproved(me, kind, document)) return false;
  const places = kind === "exception"
    ? [["exceptions:grant", document.owner, document.environment]]
    : document.needs.map((each) => [
      each.role === "security" ? "requests:approve-as-security" : "requests:approve", each.owner, each.environment]);
  return places.some(([action, owner, environment]) => me.rights.some((right) => right.action === action &&
    right.at.some((grant) => reaches(grant, owner, environment))));
}

function has(me, action) {
  return me.rights.some((each) => each.action === action);
}

/* Of exceptions it is only known what people are called, and two may be called the same. */
function isOwn(me, kind, document) {
  return kind === "request" ? document.principal === me.principal : document.asked_by === me.name;
}

function hasApproved(me, kind, document) {
  return kind === "request" && document.decisions.some((each) => each.principal === me.principal);
}

/* The lines of a problem (RFC 9457): what happened, and every violation. */
function lines(status, problem) {
  const said = problem !== null && typeof problem === "object" ? problem : {};
  const head = said.detail || said.title || said.message || "The API answered " + status + ".";
  const found = Array.isArray(said.violations) ? said.violations : [];
  const told = found.map((each) => (each.where ? each.where.replace(/^body\./, "") + ": " : "") + each.message +
    (each.accepted && !each.message.includes(each.accepted) ? "; accepted: " + each.accepted : ""));
  const request = status >= 500 && said.instance ? ["Request: " + said.instance.split(":").pop()] : [];
  return [head, ...(found.length === 1 && head === found[0].message ? [] : told), ...request].map(plain);
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function authorization(configuration, redirect, attempt, challenge) {
  const scopes = configuration.scopes.filter((each) => each !== "offline_access"); // this tab keeps no refresh token
  return configuration.authorization + "?" + new URLSearchParams({
    response_type: "code", client_id: configuration.client, redirect_uri: redirect, scope: scopes.join(" "),
    state: attempt.state, nonce: attempt.nonce, code_challenge: challenge, code_challenge_method: "S256",
  });
}

function claims(token) {
  const part = String(token).split(".")[1] || "";
  const bytes = Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
}

/* Why an ID token, which the token endpoint gave, is not the one that was asked for; "" where it is
   (OpenID Connect Core 1.0, 3.1.3.7; the API verifies its signature). */
function unfit(configuration, said, nonce, seconds) {
  if (said.iss !== configuration.issuer) return "it is another issuer's";
  if (![said.aud].flat().includes(configuration.client)) return "it is for another client";
  if (said.azp !== undefined && said.azp !== configuration.client) return "it is for another client";
  if (said.nonce !== nonce) return "it answers another request";
  return typeof said.exp === "number" && said.exp + 60 > seconds ? "" : "it has expired; is this machine's clock right?";
}

/* --- the page --- */

class Failed extends Error {
  constructor(said) { super(said[0]); this.lines = said; }
}

class SignedOut extends Failed {}

const here = { configuration: null, redirect: "", api: "", token: "", me: null, shown: null };

function at(id) { return document.getElementById(id); }

function made(name, text = "", more = {}) {
  const element = document.createElement(name);
  element.textContent = plain(text);
  for (const [attribute, value] of Object.entries(more)) element.setAttribute(attribute, value);
  return element;
}

function see(id) {
  for (const each of ["signed-out", "list", "item"]) at(each).hidden = each !== id;
}

function tell(text) {
  at("result").textContent = plain(text);
  at("result").hidden = !text;
  if (text) scrollTo(0, 0);
}

function complain(said) {
  const [head, ...more] = said;
  const list = made("ul");
  list.append(...more.map((each) => made("li", each)));
  at("problem").replaceChildren(...(said.length ? [made("p", head)] : []), ...(more.length ? [list] : []));
  at("problem").hidden = !said.length;
  if (said.length) scrollTo(0, 0);
}

function random(count) {
  return base64url(crypto.getRandomValues(new Uint8Array(count)));
}

async function signIn() {
  const attempt = { state: random(32), nonce: random(32), verifier: random(48), fragment: location.hash };
  sessionStorage.setItem(KEPT, JSON.stringify(attempt));
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(attempt.verifier));
  location.assign(authorization(here.configuration, here.redirect, attempt, base64url(new Uint8Array(digest))));
}

/* The browser came back from the issuer. The code leaves the address bar before anything else. */
async function comeBack(answer) {
  history.replaceState(null, "", here.redirect);
  const attempt = JSON.parse(sessionStorage.getItem(KEPT) || "null");
  sessionStorage.removeItem(KEPT);
  if (attempt) history.replaceState(null, "", here.redirect + attempt.fragment);
  if (!attempt || answer.get("state") !== attempt.state)
    throw new SignedOut(["This answer belongs to no sign-in of this tab: sign in again."]);
  if (answer.has("iss") && answer.get("iss") !== here.configuration.issuer)
    throw new SignedOut(["The answer came from another issuer than the one that was asked: sign in again."]);
  if (answer.has("error"))
    throw new SignedOut(["You were not signed in: " + (answer.get("error_description") || answer.get("error"))]);
  await redeem(answer.get("code") || "", attempt);
}

async function redeem(code, attempt) {
  const form = new URLSearchParams({
    grant_type: "authorization_code", client_id: here.configuration.client, redirect_uri: here.redirect, code,
    code_verifier: attempt.verifier,
  });
  const [status, tokens] = await fetched(here.configuration.token, { method: "POST", body: form });
  if (status !== 200 || typeof tokens.id_token !== "string")
    throw new SignedOut(["You were not signed in: the issuer gave no token (" + (tokens.error || status) + ")."]);
  const why = unfit(here.configuration, claims(tokens.id_token), attempt.nonce, Date.now() / 1000);
  if (why) throw new SignedOut(["You were not signed in: the issuer's token is refused, as " + why + "."]);
  here.token = here.configuration.tokens === "id" ? tokens.id_token : tokens.access_token;
}

/* Status and JSON document ({} where there is none) of one request. */
async function fetched(url, options) {
  let reply;
  try {
    reply = await fetch(url, { cache: "no-store", credentials: "omit", redirect: "error", ...options });
  } catch {
    throw new Failed(["No answer came from " + new URL(url, location.href).host + ". Try again."]);
  }
  const found = await reply.json().catch(() => ({}));
  return [reply.status, found];
}

async function ask(method, path, body) {
  const headers = { Accept: "application/json", Authorization: "Bearer " + here.token };
  if (body) Object.assign(headers, { "Content-Type": "application/json", "Idempotency-Key": random(16) });
  const [status, found] = await fetched(
    here.api + path, { method, headers, body: body ? JSON.stringify(body) : undefined });
  if (status === 401) throw new SignedOut(["Your sign-in has ended: sign in again."]);
  if (status < 200 || status > 299) throw new Failed(lines(status, found));
  return found;
}

async function every(path) {
  const items = [];
  let next = "";
  for (let page = 0; page < PAGES; page++) {
    const found = await ask("GET", path + "&limit=100" + (next && "&next=" + encodeURIComponent(next)));
    items.push(...found.items);
    next = found.next;
    if (!next) break;
  }
  return items;
}

async function showLists() {
  see("list");
  const lists = at("lists");
  lists.replaceChildren(made("p", "Looking …"));
  const found = [];
  for (const [kind, { path, reads, waits }] of Object.entries(KINDS)) {
    if (!has(here.me, reads)) continue; // a refusal is recorded: nothing is asked that would be refused
    found.push(...(await every("/" + path + "?state=" + waits)).map((document) => ({ kind, document })));
  }
  const mine = found.filter((each) => mayApprove(here.me, each.kind, each.document));
  const others = found.filter((each) => !mine.includes(each));
  lists.replaceChildren(...listed("For you", mine, "Nothing waits for you."),
    ...(others.length ? listed("For others", others, "") : []));
  at("list-title").focus();
}

function listed(name, found, nothing) {
  const list = made("ul", "", { class: "items" });
  list.append(...found.map(({ kind, document: each }) => {
    const entry = made("li");
    entry.append(made("a", title(kind, each), { href: "#" + kind + "=" + each.id }),
      made("p", each.owner + "; asked by " + each.asked_by + ", " + when(each.asked_at)));
    return entry;
  }));
  return [made("h2", name), found.length ? list : made("p", nothing)];
}

async function showItem({ kind, id }) {
  see("");
  await show(kind, await ask("GET", "/" + KINDS[kind].path + "/" + id));
  at("item-title").focus();
}

/* All is asked for before anything is shown: what stands on the page and what a button decides on is one thing. */
async function show(kind, found) {
  const before = kind === "request" && found.kind === "change" ? await declared(found.managed) : null;
  here.shown = { kind, document: found };
  at("item-title").textContent = plain(title(kind, found));
  at("state").textContent = plain(found.state);
  at("state").className = "state " + (/^[a-z]+$/.test(found.state) ? found.state : "");
  at("message").textContent = plain(found.message || "");
  facts(kind, found);
  table(kind, found, before);
  at("digest").textContent = found.digest ? "Digest of what you see: " + plain(found.digest) : "";
  at("decision").hidden = found.state !== KINDS[kind].waits;
  warn(kind, found);
  see("item");
}

function facts(kind, found) {
  const rows = Object.entries(KINDS[kind].facts).filter(([name]) => found[name])
    .map(([name, text]) => [text, TIMES.includes(name) ? when(found[name]) : found[name]]);
  if (kind === "request") {
    rows.push(["Policy", policy(found)]);
    rows.push(...found.decisions.map((each) => ["Decided", decided(each)]));
  }
  at("facts").replaceChildren(...rows.flatMap(([name, text]) => [made("dt", name), made("dd", text)]));
}

function table(kind, found, before) {
  const rows = before && found.declaration ? changes(before, found.declaration) : asked(kind, found);
  const both = Boolean(before && found.declaration);
  const head = made("thead"), body = made("tbody"), names = made("tr");
  names.append(...(both ? ["Field", "Now", "Asked for"] : ["Field", "Asked for"])
    .map((each) => made("th", each, { scope: "col" })));
  head.append(names);
  body.append(...rows.map((each) => row(each, both)));
  at("asked").replaceChildren(head, body);
  note(kind, found, both, rows.length);
}

function row([name, ...values], both) {
  const made_row = made("tr");
  made_row.append(made("th", label(name), { scope: "row" }));
  if (both) made_row.append(made("td", values[0] || "nothing", { class: "before", "data-label": "Now" }));
  const after = values[values.length - 1] || "nothing";
  made_row.append(made("td", after, both ? { class: "after", "data-label": "Asked for" } : {}));
  return made_row;
}

function note(kind, found, both, rows) {
  const changed = kind === "request" && found.kind === "change";
  const missing = changed && !both ? "What is there now cannot be shown to you; this is the whole of what is asked." : "";
  const same = changed && both && !rows ? "Nothing of the declaration changes any more." : "";
  at("asked-note").textContent = missing || same || (kind === "request" ? meaning(found) : "");
  at("asked-note").hidden = !at("asked-note").textContent;
}

/* The declaration that is there now; null where one may not see it, or there is none. */
async function declared(name) {
  if (!has(here.me, "managed:read")) return null;
  try {
    return (await ask("GET", "/managed/" + encodeURIComponent(name))).declaration || null;
  } catch (error) {
    if (error instanceof SignedOut) throw error;
    return null;
  }
}

function warn(kind, found) {
  const own = kind === "request" && isOwn(here.me, kind, found), before = hasApproved(here.me, kind, found);
  at("approve").hidden = own || before;
  at("own").textContent = own ? "You asked for this, so somebody else approves it."
    : before ? "You approved it. It waits for others; you can still reject it."
    : "It does not seem to need you: your roles are others, or you asked for it. The API decides, and records a refusal.";
  at("own").hidden = mayApprove(here.me, kind, found);
}

async function decide(what) {
  const { kind, document: found } = here.shown;
  const reason = at("reason").value.trim().replace(/\s+/g, " ");
  const missing = what === "rejection" && !reason;
  at("reason-missing").hidden = !missing;
  at("reason").setAttribute("aria-invalid", String(missing));
  if (missing) return at("reason").focus();
  const body = { ...(what === "approval" && found.digest ? { digest: found.digest } : {}), ...(reason ? { reason } : {}) };
  const decided = await ask("POST", "/" + KINDS[kind].path + "/" + found.id + "/" + what, body);
  at("reason").value = "";
  await show(kind, decided);
  const left = decided.state === KINDS[kind].waits ? ", and it waits for others too" : "";
  tell("You " + KINDS[kind].done[what] + " it" + left + ".");
  at("item-title").focus();
}

/* Runs what a button or the address asks for; what goes wrong is shown. */
async function run(what, busy = null) {
  complain([]);
  tell("");
  const buttons = [...document.querySelectorAll("button")];
  buttons.forEach((each) => { each.disabled = true; });
  if (busy) busy.setAttribute("aria-busy", "true");
  try {
    await what();
  } catch (error) {
    if (error instanceof SignedOut) { here.token = ""; at("who").textContent = ""; see("signed-out"); }
    complain(error instanceof Failed ? error.lines : ["This page failed: " + error.message]);
  } finally {
    buttons.forEach((each) => { each.disabled = false; });
    if (busy) busy.removeAttribute("aria-busy");
  }
}

function route() {
  if (!here.token) return see("signed-out");
  const found = wanted(location.hash);
  return found ? showItem(found) : showLists();
}

async function begin() {
  const answer = new URLSearchParams(location.search);
  if (!answer.has("state") && !answer.has("code") && !answer.has("error")) return;
  await comeBack(answer);
  here.me = await ask("GET", "/me");
  at("who").textContent = "Signed in as " + plain(here.me.name);
  await route();
}

function start() {
  here.configuration = JSON.parse(at("configuration").textContent);
  here.redirect = location.origin + location.pathname;
  here.api = location.pathname.replace(/\/page$/, "");
  at("sign-in").addEventListener("click", () => run(signIn));
  at("approve").addEventListener("click", () => run(() => decide("approval"), at("approve")));
  at("reject").addEventListener("click", () => run(() => decide("rejection"), at("reject")));
  at("decision").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", () => run(route));
  run(begin);
}

if (typeof document === "undefined")
  module.exports = {
    authorization, base64url, asked, changes, claims, flat, label, lines, mayApprove, meaning, plain, policy, reaches,
    title, unfit, wanted, when,
  };
else start();
