// documents - reads contracts/, with every $ref replaced by what it refers to.
//
// A part that several places refer to is one object in all of them, and knows where it is
// defined: so that it counts once, however often it is used.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const yaml = require('js-yaml');

class Documents {
  constructor(folder) {
    this.folder = folder;
    this.files = new Map(); // path -> as parsed
    this.resolved = new Map(); // object as parsed -> the same with its references replaced
    this.places = new Map(); // the latter -> "http.yaml#/components/schemas/Problem"
  }

  parsed(file) {
    if (!this.files.has(file)) {
      this.files.set(file, yaml.load(fs.readFileSync(file, 'utf8')));
    }
    return this.files.get(file);
  }

  // The whole document, resolved.
  read(name) {
    const file = path.join(this.folder, name);
    return this.resolve(this.parsed(file), file, '');
  }

  resolve(value, file, pointer) {
    if (value === null || typeof value !== 'object') {
      return value;
    }
    if (typeof value.$ref === 'string') {
      return this.follow(value.$ref, file);
    }
    if (this.resolved.has(value)) {
      return this.resolved.get(value);
    }
    const copy = Array.isArray(value) ? [] : {};
    this.resolved.set(value, copy);
    this.places.set(copy, `${path.relative(this.folder, file)}#${pointer}`);
    for (const [key, child] of Object.entries(value)) {
      copy[key] = this.resolve(child, file, `${pointer}/${key}`);
    }
    return copy;
  }

  follow(reference, from) {
    const [name, pointer = ''] = reference.split('#');
    const file = name === '' ? from : path.resolve(path.dirname(from), name);
    let value = this.parsed(file);
    for (const key of pointer.split('/').slice(1)) {
      value = value?.[key.replaceAll('~1', '/').replaceAll('~0', '~')];
    }
    if (value === undefined) {
      throw new Error(`${path.relative(this.folder, from)} refers to ${reference}, which is not there`);
    }
    return this.resolve(value, file, pointer);
  }

  place(object) {
    return this.places.get(object) ?? '?';
  }
}

// readContracts gives { documents, events: Map of dataschema -> schema, envelope, asyncapi, http,
// services: Map of name -> OpenAPI document }.
function readContracts(folder) {
  const documents = new Documents(folder);
  const names = (part, ending) =>
    fs.readdirSync(path.join(folder, part)).filter((name) => name.endsWith(ending)).sort();
  const events = new Map();
  for (const name of names('events', '.schema.json')) {
    const schema = documents.read(`events/${name}`);
    const [, type, version] = name.match(/^(.+)-([0-9]+)\.schema\.json$/);
    if (schema.$id !== `urn:faultline:${type}:${version}`) {
      throw new Error(`events/${name} has the $id ${schema.$id}`);
    }
    events.set(schema.$id, schema);
  }
  const services = new Map(
    names('openapi', '.yaml').map((name) => [name.slice(0, -'.yaml'.length), documents.read(`openapi/${name}`)]));
  return {
    documents, events, services,
    envelope: documents.read('envelope.schema.json'),
    asyncapi: documents.read('asyncapi.yaml'),
    http: documents.read('http.yaml'),
  };
}

module.exports = { readContracts };
