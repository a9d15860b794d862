"use strict";
// Triggers go to Airflow's own API with the reader's own session: who may not is refused by Airflow, not by this page.
const refusals = {
  401: "Your session ended. Log in to Airflow again, then press once more.",
  403: "Airflow refused: your user may not trigger this DAG. Ask somebody who may, or an administrator of Airflow for the right to.",
  404: "Airflow does not know this DAG. Look whether it was parsed: its import errors stand on Airflow's home page.",
};

function conf(form) {
  const said = Object.fromEntries(new FormData(form));
  if ("version" in said) said.version = said.version || null;
  return said;
}

function tell(form, kind, ...parts) {
  const output = form.querySelector("output");
  output.className = kind;
  output.replaceChildren(...parts);
}

function runLink(dag, id) {
  const link = document.createElement("a");
  link.href = `../dags/${dag}/runs/${encodeURIComponent(id)}`;
  link.textContent = "See the run";
  return link;
}

async function trigger(form) {
  const dag = form.dataset.dag;
  // One id until it was accepted: pressed twice, or sent again after a time-out, it is one run.
  form.dataset.run ||= `health__${new Date().toISOString()}__${crypto.getRandomValues(new Uint32Array(1))[0].toString(16)}`;
  const body = { dag_run_id: form.dataset.run, logical_date: null, conf: conf(form) };
  const response = await fetch(`../api/v2/dags/${dag}/dagRuns`, {
    method: "POST",
    credentials: "same-origin",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.ok || response.status === 409) {
    tell(form, "done", response.ok ? "Started. " : "Started before. ", runLink(dag, form.dataset.run));
    delete form.dataset.run;
    form.reset();
    return;
  }
  const answer = await response.json().catch(() => ({}));
  const detail = typeof answer.detail === "string" ? answer.detail : JSON.stringify(answer.detail ?? "");
  tell(form, "refused", refusals[response.status] ?? `Airflow answered ${response.status}: ${detail}`);
}

for (const form of document.querySelectorAll("form[data-dag]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    tell(form, "quiet", "Asking Airflow …");
    try {
      await trigger(form);
    } catch (error) {
      tell(form, "refused", `Airflow did not answer (${error.message}). Press again: it will not start twice.`);
    }
    button.disabled = false;
  });
}

for (const link of document.querySelectorAll("a[data-reads]")) {
  link.addEventListener("click", () => { document.getElementById("reading").hidden = false; });
}

// Airflow shows this page in a frame that may not open windows or leave itself; the page around it may.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || window.parent === window || link.protocol === "data:") return;
  if (link.origin === location.origin && link.pathname.startsWith(new URL(".", location.href).pathname)) return;
  event.preventDefault();
  const outside = window.parent.document.createElement("a");
  outside.href = link.href;
  if (link.origin !== location.origin) Object.assign(outside, { target: "_blank", rel: "noopener" });
  outside.click();
});
