// events - holds the records of the broker's log against envelope, data schemas and asyncapi.yaml.
'use strict';

// CloudEvents 1.0, section 3.1: what every attribute of every event must be, whoever made it.
function breaksCloudEvents(event) {
  const complaints = [];
  if (event === null || typeof event !== 'object' || Array.isArray(event)) {
    return ['the body is no JSON object'];
  }
  for (const [name, value] of Object.entries(event)) {
    if (name === 'data') {
      continue;
    }
    if (!/^[a-z0-9]+$/.test(name)) {
      complaints.push(`the attribute name ${name} is not [a-z0-9]`);
    }
    const isInteger = Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 31;
    if (typeof value !== 'string' && typeof value !== 'boolean' && value !== null && !isInteger) {
      complaints.push(`the attribute ${name} is of no CloudEvents type`);
    }
    // eslint-disable-next-line no-control-regex
    if (typeof value === 'string' && /[\u0000-\u001f\u007f-\u009f\ufdd0-\ufdef\ufffe\uffff]/.test(value)) {
      complaints.push(`the attribute ${name} has a character that no attribute may have`);
    }
  }
  for (const name of ['specversion', 'id', 'source', 'type']) {
    if (typeof event[name] !== 'string' || event[name] === '') {
      complaints.push(`the required attribute ${name} is missing`);
    }
  }
  if (event.specversion !== '1.0') {
    complaints.push(`specversion is ${event.specversion}`);
  }
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
  if (event.time != null && (!time.test(event.time) || Number.isNaN(Date.parse(event.time)))) {
    complaints.push(`time ${event.time} is not RFC 3339`);
  }
  if (event.source != null && /[\s<>"{}|\\^`]/.test(event.source)) {
    complaints.push(`source ${event.source} is no URI reference`);
  }
  if (event.dataschema != null && !/^[a-z][a-z0-9+.-]*:[^\s<>"{}|\\^`]+$/i.test(event.dataschema)) {
    complaints.push(`dataschema ${event.dataschema} is no URI`);
  }
  if (event.datacontenttype != null && !/^[\w.+-]+\/[\w.+-]+(;.*)?$/.test(event.datacontenttype)) {
    complaints.push(`datacontenttype ${event.datacontenttype} is no media type`);
  }
  return complaints;
}

class Events {
  constructor(contracts, schemas) {
    this.contracts = contracts;
    this.schemas = schemas;
    this.count = 0;
    this.foreign = 0;
    const { asyncapi } = contracts;
    schemas.declareAll(contracts.envelope);
    for (const [id, schema] of contracts.events) {
      schemas.declare(`event ${id}`);
      schemas.declareAll(schema);
    }
    this.senders = new Set();
    for (const operation of Object.values(asyncapi.operations)) {
      if (operation.action === 'send') {
        this.senders.add(`${operation.tags[0].name} ${operation.channel.address}`);
      }
    }
    this.headers = new Map(['dead-letter', 'redrive'].map((name) => {
      const { headers } = Object.values(asyncapi.channels[name].messages)[0];
      schemas.declareAll(headers);
      return [name, headers];
    }));
  }

  // Begins with another log: ids are unique in each.
  begin() {
    this.ids = new Set();
  }

  // Gives the complaints about one line of `faultline tail --json`.
  check(record) {
    this.count++;
    const { topic, event } = record;
    const [kind, group] = topic.split('.');
    if (group !== undefined && this.headers.has(kind)) {
      return this.schemas.check(this.headers.get(kind), record.headers);
    }
    const complaints = breaksCloudEvents(event);
    if (complaints.length > 0) {
      return complaints;
    }
    for (const [mine, its] of [[topic, event.type], [record.key, event.subject], [record.id, event.id]]) {
      if (mine !== its) {
        complaints.push(`the record says ${mine}, its envelope ${its}`);
      }
    }
    const name = `${event.source} ${event.id}`;
    if (this.ids.has(name)) {
      complaints.push(`source and id were there before: ${name}`);
    }
    this.ids.add(name);
    const service = /^\/services\/(.*)$/.exec(event.source)?.[1];
    if (service === undefined) {
      this.foreign++; // a story's own voice: that it is a CloudEvent is all that it promises
      return complaints;
    }
    return [...complaints, ...this.checkOurs(service, event)];
  }

  checkOurs(service, event) {
    const complaints = this.schemas.check(this.contracts.envelope, event).map((text) => `envelope: ${text}`);
    if (!this.senders.has(`${service} ${event.type}`)) {
      complaints.push(`asyncapi.yaml does not say that ${service} sends ${event.type}`);
    }
    const schema = this.contracts.events.get(event.dataschema);
    if (schema === undefined) {
      complaints.push(`there is no schema ${event.dataschema}`);
    } else if (!event.dataschema.startsWith(`urn:faultline:${event.type}:`)) {
      complaints.push(`dataschema ${event.dataschema} is not of ${event.type}`);
    } else {
      this.schemas.see(`event ${event.dataschema}`);
      complaints.push(...this.schemas.check(schema, event.data).map((text) => `data: ${text}`));
    }
    // All of it is about one order or transfer, whose id is a UUID in lower case.
    const about = event.data?.order_id ?? event.data?.transfer_id;
    for (const [name, value] of Object.entries({ partitionkey: event.partitionkey, correlationid: event.correlationid, data: about })) {
      if (value !== event.subject) {
        complaints.push(`${name} is about ${value}, subject about ${event.subject}`);
      }
    }
    if (!/^[0-9a-f-]{36}$/.test(event.subject)) {
      complaints.push(`subject ${event.subject} is no UUID in lower case`);
    }
    if (/^00-(0{32}-|[0-9a-f]{32}-0{16}-)/.test(event.traceparent)) {
      complaints.push(`traceparent ${event.traceparent} is all zeros`);
    }
    return complaints.map((text) => `${event.type} of ${service}: ${text}`);
  }
}

module.exports = { Events, breaksCloudEvents };
