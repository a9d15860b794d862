"use strict";
// Forms go to Airflow's own API with the user's session, so Airflow checks the permission, not this page.
const refusals = {
  401: "Your session ended. Log in to Airflow again, then press the button again.",
  403: "Airflow refused: your user may not trigger this DAG. Ask an administrator of Airflow for permission.",
  404: "Airflow has no such DAG. Look for import errors on Airflow's home page.",
};

function value(field) {
  if (field.type === "checkbox") return field.checked;
  if (field.type === "number") return field.value ? Number(field.value) : null;
  return field.required ? field.value : field.value || null;
}

function conf(form) {
  const fields = [...form.elements].filter((field) => field.name);
  return Object.fromEntries(fields.map((field) => [field.name, value(field)]));
}

function show(form, kind, ...parts) {
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
  // The id stays the same until Airflow accepts it, so that a second attempt does not start a second run.
  form.dataset.run ||= `health__${new Date().toISOString()}__${crypto.getRandomValues(new Uint32Array(1))[0].toString(16)}`;
  const body = { dag_run_id: form.dataset.run, logical_date: null, conf: conf(form) };
  const response = await fetch(`../api/v2/dags/${dag}/dagRuns`, {
    method: "POST",
    credentials: "same-origin",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.ok || response.status === 409) {
    show(form, "done", response.ok ? "Started. " : "Started before. ", runLink(dag, form.dataset.run));
    delete form.dataset.run;
    form.reset();
    return;
  }
  const answer = await response.json().catch(() => ({}));
  const detail = typeof answer.detail === "string" ? answer.detail : JSON.stringify(answer.detail ?? "");
  show(form, "refused", refusals[response.status] ?? `Airflow answered ${response.status}: ${detail}`);
}

for (const form of document.querySelectorAll("form[data-dag]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    show(form, "quiet", "Asking Airflow …");
    try {
      await trigger(form);
    } catch (error) {
      show(form, "refused", `Airflow did not answer (${error.message}). Press the button again: only one run will start.`);
    }
    button.disabled = false;
  });
}

for (const link of document.querySelectorAll("a[data-reads]")) {
  link.addEventListener("click", () => { document.getElementById("reading").hidden = false; });
}

// Airflow shows this page in a frame that may not open windows or navigate; the page around it may.
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
