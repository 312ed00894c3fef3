// schemas - validates values, and notes which parts of a contract values have shown.
'use strict';
const Ajv = require('ajv/dist/2020').default;
const addFormats = require('ajv-formats').default;

class Schemas {
  constructor(documents) {
    this.documents = documents;
    this.compiled = new Map();
    this.declared = new Set(); // names of parts
    this.seen = new Set();
  }

  // The complaints about value, none when it is valid.
  complaints(schema, value) {
    if (!this.compiled.has(schema)) {
      const ajv = new Ajv({ strict: true, strictTypes: false, strictRequired: false, allErrors: true });
      addFormats(ajv);
      this.compiled.set(schema, ajv.compile(schema));
    }
    const validate = this.compiled.get(schema);
    return validate(value) ? [] : validate.errors.map(({ instancePath, message, params }) =>
      `${instancePath || 'it'} ${message}${params.additionalProperty ? ` (${params.additionalProperty})` : ''}`);
  }

  see(name) {
    this.seen.add(name);
  }

  declare(name) {
    this.declared.add(name);
  }

  name(schema, property) {
    return `property ${property} of ${this.documents.place(schema)}`;
  }

  // Every property that schema knows, its parts' too, is to be seen.
  declareAll(schema) {
    for (const [property, child] of Object.entries(schema?.properties ?? {})) {
      this.declare(this.name(schema, property));
      this.declareAll(child);
    }
    for (const child of [schema?.items, ...(schema?.oneOf ?? []), ...(schema?.allOf ?? [])]) {
      if (child) {
        this.declareAll(child);
      }
    }
  }

  // value, which is valid, shows these properties.
  seeAll(schema, value) {
    for (const child of schema.allOf ?? []) {
      this.seeAll(child, value);
    }
    for (const child of schema.oneOf ?? []) {
      if (this.complaints(child, value).length === 0) {
        this.seeAll(child, value);
      }
    }
    if (Array.isArray(value) && schema.items) {
      value.forEach((item) => this.seeAll(schema.items, item));
    } else if (value !== null && typeof value === 'object') {
      for (const [property, child] of Object.entries(schema.properties ?? {})) {
        if (Object.hasOwn(value, property)) {
          this.see(this.name(schema, property));
          this.seeAll(child, value[property]);
        }
      }
    }
  }

  // Checks value and notes what it shows; gives the complaints.
  check(schema, value) {
    const complaints = this.complaints(schema, value);
    if (complaints.length === 0) {
      this.seeAll(schema, value);
    }
    return complaints;
  }

  unseen() {
    return [...this.declared].filter((name) => !this.seen.has(name)).sort();
  }
}

module.exports = { Schemas };
