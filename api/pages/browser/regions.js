// Takes what has changed from the server's own page: each element with `data-live` and an id, in its place.
// What the pointer rests on or the keyboard works in stays as it is until it is left: nothing jumps.

const waiting = new Map();
// Of each region, what the server last said: scripts draw into some, and people open what is folded.
const known = new WeakMap();
for (const region of document.querySelectorAll("[data-live][id]")) known.set(region, region.innerHTML);

function put(region, html) {
  if (region.matches(":hover") || region.contains(document.activeElement)) {
    if (!waiting.has(region.id)) {
      const settle = () => {
        region.removeEventListener("pointerleave", settle);
        region.removeEventListener("focusout", settle);
        const newest = waiting.get(region.id);
        waiting.delete(region.id);
        // Focus has not moved yet while it is being lost.
        setTimeout(() => put(region, newest));
      };
      region.addEventListener("pointerleave", settle);
      region.addEventListener("focusout", settle);
    }
    waiting.set(region.id, html);
    return;
  }
  const open = [...region.querySelectorAll("details")].map((each) => each.open);
  known.set(region, html);
  region.innerHTML = html;
  region.querySelectorAll("details").forEach((each, place) => { each.open = open[place] ?? each.open; });
  region.dispatchEvent(new Event("renewed"));
}

/** Loads the page again and shows what is new of it; gives the new page, or null if the service did not answer. */
export async function refresh() {
  let text;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "Sigmalab-Refresh": "1" }, credentials: "same-origin" });
    if (!answer.ok) return null;
    text = await answer.text();
  } catch {
    return null;
  }
  const page = new DOMParser().parseFromString(text, "text/html");
  for (const region of document.querySelectorAll("[data-live][id]")) {
    const found = page.getElementById(region.id);
    if (found) region.toggleAttribute("data-waiting", found.hasAttribute("data-waiting"));
    if (found && found.innerHTML !== (waiting.get(region.id) ?? known.get(region))) put(region, found.innerHTML);
  }
  return page;
}
