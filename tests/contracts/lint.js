#!/usr/bin/env node
// lint.js [BIN]: what traffic cannot tell about contracts/.
//
//   each schema is JSON Schema 2020-12 that says what it means (ajv, strict), and a name that
//   several schemas define means the same in each
//   asyncapi.yaml is AsyncAPI, and speaks of every schema
//   with BIN, the folder of the executables: the routes and subscriptions that each service
//   lists with --help are those of the contracts
//
// The OpenAPI documents have a linter of their own, redocly.
'use strict';
const { execFileSync } = require('node:child_process');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const Ajv = require('ajv/dist/2020').default;
const addFormats = require('ajv-formats').default;
const { Parser, fromFile } = require('@asyncapi/parser');
const { readContracts } = require('./documents');

const folder = path.join(__dirname, '../../contracts');
const OWN_PATHS = ['/healthz', '/readyz', '/metrics'];
const WARNING = 1; // severities: 0 error, 1 warning, 2 information

const complaints = [];
const complain = (text) => complaints.push(text);

function lintSchemas() {
  const definitions = new Map();
  const ajv = new Ajv({ strict: true, strictRequired: false, allErrors: true });
  addFormats(ajv);
  const files = [...fs.readdirSync(path.join(folder, 'events')).map((name) => `events/${name}`), 'envelope.schema.json'];
  for (const name of files) {
    const schema = JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8'));
    try {
      ajv.compile(schema);
    } catch (error) {
      complain(`${name}: ${error.message}`);
    }
    for (const [word, definition] of Object.entries(schema.$defs ?? {})) {
      const [first, known] = definitions.get(word) ?? [name, definition];
      definitions.set(word, [first, known]);
      try {
        assert.deepStrictEqual(definition, known);
      } catch {
        complain(`${name} and ${first} define ${word} in two ways`);
      }
    }
  }
}

async function lintAsyncapi(contracts) {
  const { diagnostics } = await fromFile(new Parser(), path.join(folder, 'asyncapi.yaml')).parse();
  for (const { severity, message, path: at } of diagnostics) {
    if (severity <= WARNING) {
      complain(`asyncapi.yaml: ${at.join('.')}: ${message}`);
    }
  }
  const spoken = new Set(Object.keys(contracts.asyncapi.components.messages));
  for (const id of contracts.events.keys()) {
    const [type, version] = id.split(':').slice(2);
    const message = contracts.asyncapi.channels[type]?.messages[`${type}-${version}`];
    spoken.delete(`${type}-${version}`);
    if (message?.payload.allOf[1].properties.data !== contracts.events.get(id)) {
      complain(`asyncapi.yaml: the channel ${type} has no message with the schema ${id}`);
    }
  }
  for (const name of [...spoken].filter((one) => one !== 'DeadLetter' && one !== 'Redriven')) {
    complain(`asyncapi.yaml: there is no schema for the message ${name}`);
  }
}

// The lines of a part of --help, "  GET /orders", without the spaces between.
function listed(help, heading) {
  const part = help.split(heading)[1]?.split('\n\n')[1] ?? '';
  return part.split('\n').filter((line) => line.startsWith('  ')).map((line) => line.trim().replace(/ +/g, ' '));
}

function compare(what, code, contract) {
  code.filter((one) => !contract.includes(one)).forEach((one) => complain(`${what}: the contract lacks ${one}`));
  contract.filter((one) => !code.includes(one)).forEach((one) => complain(`${what}: the code lacks ${one}`));
}

function compareWithExecutables(contracts, bin) {
  for (const [service, document] of contracts.services) {
    const paths = Object.entries(document.paths).filter(([name]) => !OWN_PATHS.includes(name));
    const operations = paths.flatMap(([name, methods]) => Object.keys(methods).map((one) => `${one.toUpperCase()} ${name}`));
    const missing = OWN_PATHS.filter((name) => document.paths[name] === undefined);
    missing.forEach((name) => complain(`${service}: the contract lacks ${name}`));
    const help = execFileSync(path.join(bin, `faultline-${service}`), ['--help'], { encoding: 'utf8' });
    if (service === 'broker') { // it lists paths with their parameters, for people
      paths.forEach(([name]) => help.includes(`GET ${name}`) || complain(`broker: --help lacks ${name}`));
      continue;
    }
    compare(service, listed(help, '\nHTTP interface, besides'), operations);
    const heard = Object.values(contracts.asyncapi.operations)
      .filter((one) => one.action === 'receive' && one.tags[0].name === service).map((one) => one.channel.address);
    compare(`${service}, events`, listed(help, 'Subscribes to:'), heard);
  }
}

async function main(bin) {
  const contracts = readContracts(folder);
  lintSchemas();
  await lintAsyncapi(contracts);
  if (bin !== undefined) {
    compareWithExecutables(contracts, bin);
  }
  complaints.forEach((text) => console.log(`  ${text}`));
  console.log(`contracts.lint: ${contracts.events.size} events, ${contracts.services.size} interfaces; ` +
    `${complaints.length} complaints`);
  process.exitCode = complaints.length === 0 ? 0 : 1;
}

main(process.argv[2]);
