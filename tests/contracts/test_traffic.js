// That traffic.js can fail: good traffic has no complaint, and each way of breaking it has just
// the one that tells what is wrong. Run with node --test.
'use strict';
const test = require('node:test');
const assert = require('node:assert');
const path = require('node:path');
const { readContracts } = require('./documents');
const { Traffic } = require('./traffic');
const { breaksCloudEvents } = require('./events');

const contracts = readContracts(path.join(__dirname, '../../contracts'));
const ID = '01890a5d-ac96-774b-bcce-b302099a8057';
const EURO = { amount_minor: 1200, currency: 'EUR' };

function record(changes = {}) {
  const event = {
    specversion: '1.0', id: '7c3c1f5e-0000-4000-8000-000000000001', source: '/services/order', type: 'order-confirmed',
    subject: ID, partitionkey: ID, time: '2026-11-23T20:36:57.123456Z', datacontenttype: 'application/json',
    dataschema: 'urn:faultline:order-confirmed:1', correlationid: ID, causationid: 'request-1',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    data: { order_id: ID, customer_id: 'alice', total: EURO }, ...changes.event,
  };
  return { offset: 0, topic: event.type, key: event.subject, id: event.id, headers: null, event, ...changes.record };
}

function exchange(changes = {}) {
  return {
    service: 'order', method: 'POST', path: '/orders', query: { mode: 'async' },
    request_headers: { 'Content-Type': 'application/json', 'Idempotency-Key': 'k' },
    request: JSON.stringify({ customer_id: 'alice', payment_token: 'tok_visa', items: [{ sku: 'milk-jug', quantity: 1 }] }),
    status: 202,
    headers: { 'Content-Type': 'application/json', Location: `/orders/${ID}`, 'X-Request-Id': 'r' },
    response: JSON.stringify({ order_id: ID, status: 'pending', mode: 'async', total: EURO }), ...changes,
  };
}

function told(traffic) {
  return [...traffic.complaints.keys()];
}

function complaintsAbout({ records = [], exchanges = [] }) {
  const traffic = new Traffic(contracts, []);
  traffic.takeEvents('e', records.map((one) => JSON.stringify(one)).join('\n'));
  traffic.takeExchanges('x', exchanges.map((one) => JSON.stringify(one)).join('\n'));
  return told(traffic);
}

function expectOne(complaints, words) {
  assert.strictEqual(complaints.length, 1, complaints.join('\n'));
  assert.match(complaints[0], words);
}

test('good traffic is good', () => {
  assert.deepStrictEqual(complaintsAbout({ records: [record()], exchanges: [exchange()] }), []);
});

const data = record().event.data;
const brokenEvents = [
  ['an unknown member', { data: { ...data, colour: 'red' } }, /NOT have additional properties \(colour\)/],
  ['a missing member', { data: { order_id: ID, total: EURO } }, /must have required property 'customer_id'/],
  ['a member of another type', { data: { ...data, total: { amount_minor: '1200', currency: 'EUR' } } }, /must be integer/],
  ['an unknown attribute', { shade: 'x' }, /envelope: it must NOT have additional properties \(shade\)/],
  ['a missing attribute of ours', { traceparent: undefined }, /envelope: it must have required property 'traceparent'/],
  ['a version without a schema', { dataschema: 'urn:faultline:order-confirmed:9' }, /there is no schema .*:9/],
  ['a schema of another type', { dataschema: 'urn:faultline:fraud-cleared:1' }, /is not of order-confirmed/],
  ['a sender that the contract does not have', { source: '/services/fraud' }, /does not say that fraud sends/],
  ['an attribute name with a capital', { traceParent: 'x' }, /the attribute name traceParent is not \[a-z0-9\]/],
  ['a required attribute that is missing', { specversion: undefined }, /specversion/],
  ['a key of another order', { partitionkey: 'x' }, /partitionkey is about x/],
  ['a story of another order', { correlationid: 'x' }, /correlationid is about x/],
  ['data of another order', { data: { ...data, order_id: '01890a5d-ac96-774b-bcce-b302099a8058' } }, /data is about 01890a5d.*8058/],
  ['a subject in capitals', { subject: ID.toUpperCase() }, /is no UUID in lower case/],
  ['a trace of zeros', { traceparent: `00-${'0'.repeat(32)}-00f067aa0ba902b7-01` }, /is all zeros/],
  ['a time that is none', { time: 'yesterday' }, /is not RFC 3339/],
];
for (const [what, event, words] of brokenEvents) {
  test(`${what} of an event is found`, () => {
    const complaints = complaintsAbout({ records: [record({ event })] });
    assert.ok(complaints.some((text) => words.test(text)), complaints.join('\n'));
  });
}

test('an event that is in a log twice is found', () => {
  expectOne(complaintsAbout({ records: [record(), record()] }), /source and id were there before/);
});

test('a record that differs from its envelope is found', () => {
  expectOne(complaintsAbout({ records: [record({ record: { key: 'other' } })] }), /the record says .*, its envelope other|the record says other/);
});

test('what CloudEvents forbids is found in events of others too', () => {
  const good = { specversion: '1.0', id: 'i', source: '/x', type: 't' };
  assert.deepStrictEqual(breaksCloudEvents({ ...good, extension: 5, flag: true, unset: null }), []);
  const bad = [{ extension: 5.5 }, { extension: 2 ** 31 }, { extension: {} }, { extension: [1] }, { 'an-extension': 'x' },
    { extension: 'a\u0007' }, { extension: 'a\u0085' }, { source: 'a b' }, { dataschema: 'order' }, { id: '' },
    { datacontenttype: 'json' }, { time: '2026-13-01T00:00:00Z' }, { data_base64: 'e30=' }];
  for (const change of bad) {
    assert.strictEqual(breaksCloudEvents({ ...good, ...change }).length, 1, JSON.stringify(change));
  }
});

const answer = JSON.parse(exchange().response);
const brokenExchanges = [
  ['an unknown member of an answer', { response: JSON.stringify({ ...answer, colour: 'red' }) }, /additional properties \(colour\)/],
  ['a missing member of an answer', { response: JSON.stringify({ ...answer, total: undefined }) }, /required property 'total'/],
  ['a member of an answer of another type', { response: JSON.stringify({ ...answer, status: 5 }) }, /must be equal to one of/],
  ['a status that is not declared', { status: 418 }, /does not have this status/],
  ['a content type that is not declared', { headers: { ...exchange().headers, 'Content-Type': 'text/html' } }, /content type text\/html/],
  ['a header that is not declared', { headers: { ...exchange().headers, 'X-Colour': 'red' } }, /does not have the header X-Colour/],
  ['a header that is missing', { headers: { 'Content-Type': 'application/json', 'X-Request-Id': 'r' } }, /header Location is missing/],
  ['an unknown member of a request', { request: exchange().request.replace('{', '{"colour":1,') }, /request: .*\(colour\)/],
  ['a query parameter that is not declared', { query: { colour: 'red' } }, /query parameter colour/],
  ['a request header that is not declared', { request_headers: { ...exchange().request_headers, 'X-Attempt': '1' } }, /header parameter X-Attempt/],
  ['a path that is not declared', { path: '/colours' }, /no such path/],
  ['a method that is not declared', { method: 'PATCH' }, /no such method/],
  ['a service that is not declared', { service: 'colour' }, /is no service/],
];
for (const [what, changes, words] of brokenExchanges) {
  test(`${what} is found`, () => expectOne(complaintsAbout({ exchanges: [exchange(changes)] }), words));
}

test('what was never seen is missed, once it is neither seen nor excused', () => {
  const traffic = new Traffic(contracts, []);
  traffic.takeEvents('e', JSON.stringify(record()));
  traffic.takeExchanges('x', JSON.stringify(exchange()));
  const missing = traffic.missing();
  const has = (name) => missing.includes(`never seen: ${name}`);
  assert.ok(!has('event urn:faultline:order-confirmed:1') && !has('answer 202 of order POST /orders'));
  assert.ok(has('event urn:faultline:order-created:1') && has('answer 504 of order POST /orders'));
  assert.ok(has('property reason of events/order-cancelled-1.schema.json#'));
  traffic.excuses = [{ what: 'answer 504 of order POST /orders' }, { what: 'answer 202 of order POST /orders' }];
  const excused = traffic.missing();
  assert.ok(!excused.includes('never seen: answer 504 of order POST /orders'));
  assert.ok(excused.includes('unseen.json excuses what was seen, or is not there: answer 202 of order POST /orders'));
});

test('a line that a killed process left half is counted, and the one behind it is read', () => {
  const traffic = new Traffic(contracts, []);
  const line = JSON.stringify(exchange({ status: 418 }));
  traffic.takeExchanges('x', `${line.slice(0, 100)}${line}\n${line.slice(0, 50)}`);
  assert.strictEqual(traffic.torn, 2);
  expectOne(told(traffic), /does not have this status/);
});
