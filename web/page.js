// What a script adds to pages that are complete without it: live parts, reveals in place, log lines, the PIN from the address.
"use strict";

const PART = { "X-Part": "1" };

// Makes `old` like `fresh` and touches only what differs, so that focus, open details, typed text and scroll stay.
function morph(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (!old.hasAttribute("data-keep")) morphChildren(old, fresh);
}

function alike(a, b) {
  return a && a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
}

function morphChildren(old, fresh) {
  let at = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    let found = at;
    while (found && !alike(found, wanted)) found = wanted.id ? found.nextSibling : null;
    if (!found) {
      old.insertBefore(document.importNode(wanted, true), at);
      continue;
    }
    while (at !== found) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
    at = found.nextSibling;
    if (found.nodeType === Node.ELEMENT_NODE) morph(found, wanted);
    else if (found.nodeValue !== wanted.nodeValue) found.nodeValue = wanted.nodeValue;
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function parsed(html) {
  return new DOMParser().parseFromString(html, "text/html").body;
}

// The list of posts stands still while somebody is at it: nobody can read or press what moves away.
// A pointer that was left on it does not hold it for longer than a minute.
let used = 0;
for (const kind of ["pointermove", "pointerdown", "keydown", "focusin"]) {
  document.addEventListener(kind, (event) => { if (event.target.closest?.("#post-list")) used = Date.now(); }, { passive: true });
}
function isUsed(list) {
  return Date.now() - used < 60_000 && (list.matches(":hover") || list.contains(document.activeElement));
}

// Server-sent events replace the live part; the browser itself connects again after a cut.
function live(place) {
  const link = document.getElementById("link");
  const say = (text, state) => {
    if (link.textContent !== text) link.textContent = text;
    link.dataset.state = state;
  };
  const events = new EventSource(place.dataset.live);
  events.addEventListener("live", (event) => {
    say("live", "good");
    const fresh = parsed(event.data);
    const list = place.querySelector("#post-list");
    const still = isUsed(list);
    if (still) fresh.querySelector("#post-list").replaceWith(list.cloneNode(true));
    morphChildren(place, fresh);
    place.querySelector("#still").hidden = !still;
    document.title = document.title.replace(/^[^-]*/, document.getElementById("working").textContent.trim() + " ");
  });
  events.addEventListener("locked", () => location.assign("/"));
  events.onerror = () => {
    say("no connection, trying again", "bad");
    // A refused stream is not tried again by the browser: the session may have ended, so ask once and again later.
    if (events.readyState === EventSource.CLOSED) {
      setTimeout(() => fetch("/logs?name=", { headers: PART }).then((r) => (r.status === 401 ? location.assign("/") : live(place)), () => live(place)), 3000);
    }
  };
}

// Reveal and mask in place; anything unexpected falls back to the plain form.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("form[data-part]")) return;
  event.preventDefault();
  try {
    const answer = await fetch(form.getAttribute("action"), { method: "POST", headers: PART, body: new URLSearchParams(new FormData(form)) });
    if (!answer.ok) throw new Error(String(answer.status));
    morph(form.closest("article"), parsed(await answer.text()).firstElementChild);
  } catch {
    form.submit();
  }
});

async function fill(place, address) {
  try {
    const answer = await fetch(address, { headers: PART });
    if (answer.ok) morphChildren(place, parsed(await answer.text()));
  } catch {
    // The link line says that there is no connection.
  }
}

// Log lines come while their details are open.
function followLogs() {
  for (const part of document.querySelectorAll("details[data-log][open]")) fill(part.querySelector(".log-place"), part.dataset.log);
}
document.addEventListener("toggle", (event) => event.target.matches?.("details[data-log][open]") && followLogs(), true);

// The PIN may stand behind # in the address of a QR code: it never leaves the browser that way.
function pinField(field) {
  const dashed = (text) => {
    const plain = text.toUpperCase().replace(/[^0-9A-Z]/g, "").slice(0, 8);
    return plain.length > 4 ? plain.slice(0, 4) + "-" + plain.slice(4) : plain;
  };
  if (location.hash.length > 1) {
    field.value = dashed(decodeURIComponent(location.hash.slice(1)));
    history.replaceState(null, "", location.pathname);
  }
  field.addEventListener("input", () => {
    if (field.selectionStart === field.value.length) field.value = dashed(field.value);
  });
  field.focus();
}

function copyButton(button) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).innerText);
    button.textContent = "Copied";
  });
}

// What is typed can be looked at; the button appears only where it works.
function passField(field) {
  const box = document.createElement("div");
  box.className = "shown";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Show";
  button.setAttribute("aria-label", `Show what is typed: ${document.querySelector(`label[for="${field.id}"]`).textContent}`);
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    const show = field.type === "password";
    field.type = show ? "text" : "password";
    button.setAttribute("aria-pressed", String(show));
    button.textContent = show ? "Hide" : "Show";
  });
  field.replaceWith(box);
  box.append(field, button);
  field.form.addEventListener("submit", () => { field.type = "password"; });
}

document.querySelectorAll("[data-live]").forEach(live);
document.querySelectorAll("[data-pass]").forEach(passField);
document.querySelectorAll("[data-copy]").forEach(copyButton);
document.querySelectorAll("[data-print]").forEach((button) => {
  button.hidden = false;
  button.addEventListener("click", () => print());
});
document.querySelectorAll("#pin").forEach(pinField);
if (document.querySelector("[data-log]")) setInterval(followLogs, 5000);
document.querySelectorAll("[data-poll]").forEach((place) => setInterval(() => fill(place, place.dataset.poll), 3000));
