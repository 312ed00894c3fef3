#!/usr/bin/env node
// traffic.js RECORDS: holds what stories recorded against contracts/, both ways. What the code
// says and the contract lacks is a complaint; what the contract has and nobody ever said is one
// too, except what unseen.json excuses. tests/e2e/record.sh writes the records:
//
//   NAME.http.jsonl    exchanges, common/http_record.h
//   NAME.events.jsonl  the log of a story's broker, faultline tail --json
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { readContracts } = require('./documents');
const { Schemas } = require('./schemas');
const { Events } = require('./events');
const { Exchanges } = require('./exchanges');

const SHOWN_MAX = 40;
const EXCHANGE_START = '{"service":"';

class Traffic {
  constructor(contracts, excuses) {
    this.schemas = new Schemas(contracts.documents);
    this.events = new Events(contracts, this.schemas);
    this.exchanges = new Exchanges(contracts, this.schemas);
    this.excuses = excuses;
    this.torn = 0;
    this.complaints = new Map(); // text -> how often, and where first
  }

  complain(where, texts) {
    for (const text of texts) {
      const known = this.complaints.get(text) ?? { where, count: 0 };
      known.count++;
      this.complaints.set(text, known);
    }
  }

  takeEvents(name, text) {
    this.events.begin();
    text.split('\n').filter((line) => line !== '').forEach((line, i) => {
      this.complain(`${name}:${i + 1}`, this.events.check(JSON.parse(line)));
    });
  }

  // A process that is killed while it writes leaves half a line, and the next one goes on
  // behind it: no string of a line can hold the start of one, its quotes would be escaped.
  takeExchanges(name, text) {
    text.split('\n').filter((line) => line !== '').forEach((line, i) => {
      const start = line.lastIndexOf(EXCHANGE_START);
      this.torn += start === 0 ? 0 : 1;
      let exchange = null;
      try {
        exchange = JSON.parse(line.slice(Math.max(start, 0)));
      } catch {
        this.torn++;
        return;
      }
      this.complain(`${name}:${i + 1}`, this.exchanges.check(exchange));
    });
  }

  // What nobody ever said and no excuse covers, and the excuses that nobody needs.
  missing() {
    const unseen = this.schemas.unseen();
    const isExcused = (name) => this.excuses.some(({ what }) => new RegExp(`^${what}$`).test(name));
    const unneeded = this.excuses.filter(({ what }) => !unseen.some((name) => new RegExp(`^${what}$`).test(name)));
    return [
      ...unseen.filter((name) => !isExcused(name)).map((name) => `never seen: ${name}`),
      ...unneeded.map(({ what }) => `unseen.json excuses what was seen, or is not there: ${what}`),
    ];
  }

  summary() {
    const { declared } = this.schemas;
    return `${this.events.count} records of logs (${this.events.foreign} events of others), ` +
      `${this.exchanges.count} exchanges (${this.torn} torn); ${declared.size} parts of contracts, ` +
      `${this.schemas.unseen().length} never seen`;
  }
}

function main(records) {
  const root = path.join(__dirname, '../..');
  const excuses = JSON.parse(fs.readFileSync(path.join(__dirname, 'unseen.json'), 'utf8'));
  const traffic = new Traffic(readContracts(path.join(root, 'contracts')), excuses);
  for (const name of fs.readdirSync(records).sort()) {
    const read = () => fs.readFileSync(path.join(records, name), 'utf8');
    if (name.endsWith('.events.jsonl')) {
      traffic.takeEvents(name, read());
    } else if (name.endsWith('.http.jsonl')) {
      traffic.takeExchanges(name, read());
    }
  }
  const texts = [...traffic.complaints].map(([text, { where, count }]) => `${text} (${count} times, first at ${where})`);
  texts.push(...traffic.missing());
  texts.slice(0, SHOWN_MAX).forEach((text) => console.log(`  ${text}`));
  if (texts.length > SHOWN_MAX) {
    console.log(`  and ${texts.length - SHOWN_MAX} more`);
  }
  console.log(`contracts.traffic: ${traffic.summary()}; ${texts.length} complaints`);
  return texts.length === 0 ? 0 : 1;
}

module.exports = { Traffic };
if (require.main === module) {
  process.exitCode = main(process.argv[2]);
}
