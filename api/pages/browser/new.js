// The page of a new question: an editor that knows the schema, and the plan of what stands in it beside it.
import "./copy.js";
import {
  autocompletion, bracketMatching, closeBrackets, closeBracketsKeymap, completionKeymap, defaultKeymap, drawSelection, EditorState,
  EditorView, highlightActiveLine, HighlightStyle, history, historyKeymap, indentOnInput, json, keymap, lineNumbers, lintGutter,
  setDiagnostics, syntaxHighlighting, syntaxTree, tags,
} from "./libraries/editor.js";
import { formsAt, names, values } from "./schema.js";

const form = document.getElementById("spec-form");
const area = document.getElementById("spec");
const PAUSE = 700;
let schema = null;
const known = fetch("/schema", { credentials: "same-origin", headers: { Accept: "application/json" } })
  .then((answer) => answer.json())
  .then((found) => { schema = found; })
  .catch(() => {});

function text(state, node) { return state.sliceDoc(node.from, node.to); }
function nameOf(state, property) {
  const name = property.getChild("PropertyName");
  try { return name ? JSON.parse(text(state, name)) : ""; } catch { return ""; }
}

/** Where a node stands in the document: ["arms", 1, "patch"]. */
function pathOf(state, node) {
  const path = [];
  for (let at = node; at?.parent; at = at.parent) {
    if (at.name === "Property") path.unshift(nameOf(state, at));
    else if (at.parent.name === "Array") {
      let index = 0;
      for (let before = at.prevSibling; before; before = before.prevSibling) if (!/^[[\],]$/.test(before.name)) index += 1;
      path.unshift(index);
    }
  }
  return path;
}

/** The document as far as it can be read: what is broken is left out. */
function documentOf(state, node = syntaxTree(state).topNode.firstChild) {
  if (!node) return null;
  if (node.name === "Object") {
    return Object.fromEntries(node.getChildren("Property").map((each) => [nameOf(state, each), documentOf(state, each.lastChild)]));
  }
  if (node.name === "Array") {
    const parts = [];
    for (let each = node.firstChild; each; each = each.nextSibling) if (!/^[[\],]$/.test(each.name)) parts.push(documentOf(state, each));
    return parts;
  }
  try { return JSON.parse(text(state, node)); } catch { return null; }
}

async function complete(context) {
  await known;
  if (!schema) return null;
  const { state, pos } = context;
  const node = syntaxTree(state).resolveInner(pos, -1);
  const word = context.matchBefore(/"?[\w./-]*/);
  if (word.from === word.to && !context.explicit) return null;
  let holder = node;
  while (holder && !["Object", "Array", "Property"].includes(holder.name)) holder = holder.parent;
  const isValue = holder?.name === "Array" || (holder?.name === "Property" && node.name !== "PropertyName" && /:\s*"?[\w./-]*$/.test(state.sliceDoc(holder.from, pos)));
  const whole = documentOf(state);
  // What is typed may stand in quotes already, a closing one behind it.
  const to = state.sliceDoc(pos, pos + 1) === "\"" && word.text.startsWith("\"") ? pos + 1 : pos;
  if (isValue) {
    const path = holder.name === "Array" ? [...pathOf(state, holder), 0] : pathOf(state, holder);
    return { from: word.from, to, options: values(formsAt(schema, whole, path)).map((each) => ({ ...each, type: "value" })) };
  }
  while (holder && holder.name !== "Object") holder = holder.parent;
  if (!holder) return null;
  const path = pathOf(state, holder);
  const own = holder.getChildren("Property").filter((each) => each.from > pos || each.to < pos).map((each) => nameOf(state, each));
  const options = names(formsAt(schema, whole, path), own).map((each) => ({
    label: `"${each.label}"`, info: each.info || undefined, type: "property", apply: `"${each.label}": `,
  }));
  return { from: word.from, to, options };
}

/** Where a pointer such as /arms/1/patch leads to, as far as it does. */
function placeOf(state, pointer) {
  let node = syntaxTree(state).topNode.firstChild;
  for (const part of pointer.split("/").slice(1).map((each) => each.replaceAll("~1", "/").replaceAll("~0", "~"))) {
    let next = null;
    if (node?.name === "Object") {
      const property = node.getChildren("Property").find((each) => nameOf(state, each) === part);
      next = property?.lastChild ?? null;
    } else if (node?.name === "Array") {
      let index = Number(part);
      for (let each = node.firstChild; each; each = each.nextSibling) if (!/^[[\],]$/.test(each.name) && index-- === 0) next = each;
    }
    if (!next) break;
    node = next;
  }
  if (!node) return { from: 0, to: state.doc.length };
  // Of an object or a list its first line is enough.
  return { from: node.from, to: Math.min(node.to, state.doc.lineAt(node.from).to) };
}

function diagnosticsOf(state, page) {
  return [...page.querySelectorAll("#problems li")].map((item) => {
    const message = item.querySelector("span").textContent;
    const broken = /line (\d+), column (\d+)/.exec(message);
    if (!item.dataset.pointer && broken) {
      const line = state.doc.line(Math.min(Number(broken[1]), state.doc.lines));
      const from = Math.min(line.from + Number(broken[2]) - 1, line.to);
      return { from, to: from, severity: "error", message };
    }
    return { ...placeOf(state, item.dataset.pointer), severity: "error", message };
  });
}

let due = null;
let asking = null;
/** Whether somebody asks (a click), or only types: code of the spec's own is not run for who types. */
async function plan(isAsked = false) {
  // The service stops reading data for whoever does not wait any more.
  asking?.abort();
  const mine = asking = new AbortController();
  const fields = new URLSearchParams(new FormData(form));
  fields.set("spec", view.state.doc.toString());
  fields.set("action", isAsked ? "plan" : "look");
  let page;
  try {
    const answer = await fetch("/new", { method: "POST", body: fields, headers: { Accept: "text/html" }, credentials: "same-origin", signal: mine.signal });
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    page = null;
  }
  // An answer to what has changed meanwhile says nothing.
  if (mine.signal.aborted) return;
  const found = page?.getElementById("plan");
  if (!found) {
    // A plan of another text must not stay beside this one.
    const why = page?.querySelector("main p")?.textContent ?? "the service does not answer";
    const told = document.createElement("p");
    told.className = "ill";
    told.textContent = `The plan could not be made: ${why}`;
    document.getElementById("plan").replaceChildren(document.getElementById("plan-title"), told);
    return;
  }
  document.getElementById("plan").replaceChildren(...found.childNodes);
  view.dispatch(setDiagnostics(view.state, diagnosticsOf(view.state, document)));
}
function soon() { clearTimeout(due); due = setTimeout(() => plan(), PAUSE); }

const colours = HighlightStyle.define([
  { tag: tags.propertyName, color: "var(--blue)" },
  { tag: tags.string, color: "var(--green)" },
  { tag: tags.number, color: "var(--purple)" },
  { tag: [tags.bool, tags.null], color: "var(--orange)" },
]);
// In a tree of its own the editor's styles are constructed sheets, which the page's Content-Security-Policy allows.
const host = document.createElement("div");
host.className = "editor";
const root = host.attachShadow({ mode: "open" });
area.after(host);
const view = new EditorView({
  doc: area.value,
  root,
  parent: root,
  extensions: [
    lineNumbers(), history(), drawSelection(), indentOnInput(), bracketMatching(), closeBrackets(), highlightActiveLine(), lintGutter(),
    EditorState.tabSize.of(2), EditorView.lineWrapping, json(), syntaxHighlighting(colours), autocompletion({ override: [complete] }),
    keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap]),
    EditorView.contentAttributes.of({ "aria-label": "Spec (JSON)" }),
    EditorView.theme({
      "&": { color: "var(--ink)", backgroundColor: "var(--paper)", height: "34rem", fontSize: ".88rem" },
      ".cm-content": { caretColor: "var(--ink)", fontFamily: "var(--mono)" },
      // CodeMirror's own marks are `data:` pictures, which the page may not load.
      ".cm-lint-marker-error": { content: "url(/assets/error.svg)" },
      ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--red)" },
      ".cm-gutters": { backgroundColor: "var(--tint)", color: "var(--soft)", border: "none" },
      ".cm-activeLine": { backgroundColor: "var(--hatch)" },
      ".cm-cursor": { borderLeftColor: "var(--ink)" },
      ".cm-tooltip": { backgroundColor: "var(--tint)", color: "var(--ink)", border: "1px solid var(--line)" },
      "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--line) !important" },
    }),
    EditorView.updateListener.of((update) => { if (update.docChanged) soon(); }),
  ],
});
// What scrolls can be reached by the keyboard.
view.scrollDOM.tabIndex = 0;
area.hidden = true;
area.required = false;
form.addEventListener("submit", (event) => {
  clearTimeout(due);
  if (event.submitter?.value === "plan") {
    event.preventDefault();
    plan(true);
    return;
  }
  // Whoever clicks twice means it once.
  if ("sent" in form.dataset) { event.preventDefault(); return; }
  form.dataset.sent = "";
  asking?.abort();
  area.value = view.state.doc.toString();
});
// Back on the page, as the browser has kept it.
addEventListener("pageshow", () => { delete form.dataset.sent; });
form.dataset.ready = "";
plan();
