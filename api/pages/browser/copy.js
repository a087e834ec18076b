// A button that copies, on every text that is meant to be copied; browsers have no clipboard for a page that came in clear.
for (const figure of navigator.clipboard ? document.querySelectorAll(".copyable") : []) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "copy";
  button.setAttribute("aria-label", `copy ${figure.querySelector("figcaption").textContent}`);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(figure.querySelector("pre").textContent);
    button.textContent = "copied";
  });
  figure.append(button);
}
