"use strict";
// Shows /openapi.json. Everything is set as text, never as markup.

function node(tag, text, kind) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.type === "array") return "list of " + (typeOf(schema.items) || "anything");
  return schema.type || "anything";
}

function table(rows) {
  const made = node("table");
  for (const cells of rows) {
    const row = made.appendChild(node("tr"));
    cells.forEach((cell, index) => row.appendChild(node("td")).appendChild(node(index ? "span" : "code", cell)));
  }
  return made;
}

function showOperation(path, method, operation) {
  const box = node("details");
  const head = box.appendChild(node("summary"));
  head.append(node("span", method.toUpperCase(), "method"), node("code", path), " ",
    node("span", (operation.description || "").split("\n")[0], "dim"));
  const parameters = (operation.parameters || []).map((each) =>
    [each.name, each.in, typeOf(each.schema), each.description || ""]);
  if (parameters.length) box.appendChild(table(parameters));
  const body = operation.requestBody && operation.requestBody.content["application/json"];
  if (body) box.appendChild(node("p", "Body: " + typeOf(body.schema)));
  const answers = Object.entries(operation.responses).map(([status, answer]) => {
    const content = Object.values(answer.content || {})[0];
    return [status, typeOf(content && content.schema), answer.description || ""];
  });
  box.appendChild(table(answers));
  return box;
}

function show(document_) {
  const paths = document.getElementById("paths");
  paths.replaceChildren();
  let group = "";
  for (const [path, operations] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = (operation.tags || ["other"])[0];
      if (tag !== group) paths.appendChild(node("h2", (group = tag)));
      paths.appendChild(showOperation(path, method, operation));
    }
  }
  const schemas = document.getElementById("schemas");
  schemas.replaceChildren();
  for (const [name, schema] of Object.entries(document_.components.schemas)) {
    const box = schemas.appendChild(node("details"));
    box.appendChild(node("summary")).appendChild(node("code", name));
    box.appendChild(table(Object.entries(schema.properties || {}).map(([key, value]) =>
      [key, typeOf(value), value.description || ""])));
  }
}

async function load(key) {
  const answer = await fetch("/openapi.json", key ? { headers: { Authorization: "Bearer " + key } } : {});
  document.getElementById("key").hidden = answer.ok;
  if (answer.ok) show(await answer.json());
}

document.querySelector("#key input").addEventListener("change", (event) => load(event.target.value));
load("");
