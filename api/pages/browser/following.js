// A page that follows an experiment: the event stream says when something has happened, the server's page says what.
import { refresh } from "./regions.js";

const live = document.getElementById("live");
const AGAIN = 5000;
// How long the service took for the last one: when it is busy it is asked less often.
let took = 0;
let due = null;
let isBusy = false;
let isDirty = false;

/** How much is not there yet: with less of it missing the page has other sections. */
function missing(element) { return element.hasAttribute("data-incomplete") ? Number(element.dataset.incomplete) || 1 : 0; }

async function show() {
  due = null;
  if (isBusy) { isDirty = true; return; }
  isBusy = true;
  const begun = performance.now();
  const page = await refresh();
  took = performance.now() - begun;
  isBusy = false;
  const state = page?.getElementById("live");
  // The more watch, the less often each asks.
  if (state) live.dataset.pause = state.dataset.pause;
  const isLeft = !page || state?.hasAttribute("data-waiting");
  // Sections that were not there yet come with the whole page.
  if (state && missing(state) < missing(live)) { location.reload(); return; }
  live.toggleAttribute("data-waiting", Boolean(isLeft));
  if (isDirty || isLeft) { isDirty = false; soon(); }
}

// Watchers do not all ask in the same moment.
function soon() { due ??= setTimeout(show, Math.max(1000 * Number(live.dataset.pause), 4 * took) * (1 + Math.random())); }

function say(words) {
  const place = document.getElementById("connection");
  if (place && place.textContent !== words) place.textContent = words;
}

let events = null;
let last = live.dataset.after;
let isLost = false;
let retry = null;

function close() {
  clearTimeout(retry);
  events?.close();
  events = null;
}

function listen(onEpoch) {
  close();
  events = new EventSource(`${live.dataset.events}?after=${last}`);
  events.onopen = () => {
    say("");
    if (isLost) { soon(); onEpoch?.(null); }
    isLost = false;
  };
  events.onerror = () => {
    isLost = true;
    say("The connection is lost; what is shown may be old. Trying again…");
    // A connection that broke the browser opens again by itself, one that was answered with an error never.
    if (events?.readyState === EventSource.CLOSED) retry = setTimeout(() => listen(onEpoch), AGAIN * (1 + Math.random()));
  };
  for (const kind of ["trial", "status"]) {
    events.addEventListener(kind, (event) => { last = event.lastEventId || last; soon(); });
  }
  if (onEpoch) {
    events.addEventListener("epoch", (event) => { last = event.lastEventId || last; onEpoch(JSON.parse(event.data)); });
  }
  events.addEventListener("end", () => {
    close();
    location.reload();
  });
}

/** Follows the experiment; `onEpoch` is told of each epoch of a trial, and with null that some may have been missed. */
export function follow(onEpoch = null) {
  if (live.dataset.over === "no") {
    if (!document.hidden) listen(onEpoch);
    // Browsers open few connections to one host: a tab that nobody looks at holds none.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { close(); return; }
      listen(onEpoch);
      soon();
      onEpoch?.(null);
    });
  }
  if (live.hasAttribute("data-waiting")) soon();
}
