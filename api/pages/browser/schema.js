// What may stand at a place of a document, by its JSON Schema: names and values to complete.

function resolved(schema, root) {
  let found = schema;
  while (found?.$ref) found = found.$ref.split("/").slice(1).reduce((at, name) => at?.[name], root);
  return found;
}

/** All forms that a schema may take; of those with a `kind`, the one that the value names, if it names one. */
function forms(schema, root, value) {
  const found = resolved(schema, root);
  if (!found) return [];
  const choices = found.anyOf ?? found.oneOf;
  if (!choices) return [found];
  const all = choices.flatMap((choice) => forms(choice, root, value));
  const kind = value && typeof value === "object" ? value.kind : undefined;
  const named = all.filter((form) => kind !== undefined && kinds(form).includes(kind));
  return named.length ? named : all;
}

function kinds(form) {
  const kind = form.properties?.kind;
  return kind ? kind.enum ?? [kind.const ?? kind.default] : [];
}

/** The forms that may stand at a path, such as ["arms", 1, "patch"], in a document. */
export function formsAt(root, document, path) {
  let value = document;
  let found = forms(root, root, value);
  for (const part of path) {
    value = value?.[part];
    found = found.flatMap((form) => {
      const inside = typeof part === "number"
        ? form.prefixItems?.[part] ?? form.items
        : form.properties?.[part] ?? (typeof form.additionalProperties === "object" ? form.additionalProperties : null);
      return inside ? forms(inside, root, value) : [];
    });
  }
  return found;
}

/** Names that an object may still have: [{ label, info }]. */
export function names(found, taken) {
  const options = new Map();
  for (const form of found) {
    for (const [label, schema] of Object.entries(form.properties ?? {})) {
      if (!taken.includes(label) && !options.has(label)) options.set(label, { label, info: schema.description ?? "" });
    }
  }
  return [...options.values()];
}

/** Values that may stand there, as JSON: [{ label, info }]. */
export function values(found) {
  const options = new Map();
  const add = (value, info) => options.set(JSON.stringify(value), { label: JSON.stringify(value), info: info ?? "" });
  for (const form of found) {
    for (const value of form.enum ?? []) add(value, form.description);
    if (form.const !== undefined) add(form.const, form.description);
    if (form.type === "boolean") [true, false].forEach((value) => add(value, form.description));
    for (const kind of kinds(form)) {
      if (kind !== undefined) options.set(`{"kind": "${kind}"}`, { label: `{"kind": "${kind}"}`, info: form.description ?? "" });
    }
  }
  return [...options.values()];
}
