// The list of experiments: comparisons that were still being made when the page came are fetched when they are there.
import "./copy.js";
import { refresh } from "./regions.js";

let pause = 1000;
async function look() {
  const page = await refresh();
  pause = Math.min(pause * 1.5, 10000);
  if (!page || page.querySelector("[data-waiting]")) setTimeout(look, pause);
}
if (document.querySelector("[data-waiting]")) setTimeout(look, pause);
