// exchanges - holds recorded HTTP exchanges (common/http_record.h) against contracts/openapi.
'use strict';

// What the server says before it knows an operation: http_server.h, and common/request.c.
const WITHOUT_OPERATION = new Set([400, 404, 405, 413, 503]);
// Headers of the connection, not of the interface.
const OF_HTTP = new Set(['content-type', 'connection', 'allow']);

function segments(path) {
  return path.split('/').slice(1);
}

function isParameter(segment) {
  return segment.startsWith('{');
}

class Exchanges {
  constructor(contracts, schemas) {
    this.schemas = schemas;
    this.problem = contracts.http.components.schemas.Problem;
    this.count = 0;
    this.operations = new Map(); // "order" -> [{path, segments, methods}]
    for (const [service, document] of contracts.services) {
      const paths = Object.entries(document.paths).map(([path, methods]) =>
        ({ path, segments: segments(path), methods }));
      // Words before parameters: /orders/new would be no order.
      paths.sort((a, b) => a.segments.filter(isParameter).length - b.segments.filter(isParameter).length);
      this.operations.set(service, paths);
      for (const { path, methods } of paths) {
        for (const [method, operation] of Object.entries(methods)) {
          this.declare(`${service} ${method.toUpperCase()} ${path}`, operation);
        }
      }
    }
  }

  parameterName(parameter) {
    return `parameter ${parameter.name} of ${this.schemas.documents.place(parameter)}`;
  }

  headerName(name, header) {
    return `header ${name} of ${this.schemas.documents.place(header)}`;
  }

  declare(name, operation) {
    for (const parameter of operation.parameters ?? []) {
      this.schemas.declare(this.parameterName(parameter));
    }
    for (const { schema } of Object.values(operation.requestBody?.content ?? {})) {
      this.schemas.declareAll(schema);
    }
    for (const [status, response] of Object.entries(operation.responses)) {
      for (const [header, what] of Object.entries(response.headers ?? {})) {
        this.schemas.declare(this.headerName(header, what));
      }
      for (const [type, { schema }] of Object.entries(response.content ?? {})) {
        const many = Object.keys(response.content).length > 1;
        this.schemas.declare(`answer ${status} ${many ? `(${type}) ` : ''}of ${name}`);
        this.schemas.declareAll(schema);
      }
    }
  }

  find(exchange) {
    const asked = segments(exchange.path);
    return this.operations.get(exchange.service)?.find((item) =>
      item.segments.length === asked.length &&
      item.segments.every((segment, i) => (isParameter(segment) ? asked[i] !== '' : segment === asked[i])));
  }

  // Gives the complaints about one recorded exchange.
  check(exchange) {
    this.count++;
    const method = exchange.method === 'HEAD' ? 'get' : exchange.method.toLowerCase();
    const item = this.find(exchange);
    const operation = item?.methods[method];
    const name = `${exchange.service} ${method.toUpperCase()} ${item?.path ?? exchange.path}`;
    if (!this.operations.has(exchange.service)) {
      return [`${exchange.service} is no service of contracts/openapi`];
    }
    const complaints = operation === undefined
      ? this.checkRefusal(exchange, item !== undefined)
      : [...this.checkAnswer(name, operation, exchange), ...this.checkRequest(operation, item, exchange)];
    return complaints.map((text) => `${name} ${exchange.status}: ${text}`);
  }

  checkRefusal(exchange, isKnownPath) {
    if (!WITHOUT_OPERATION.has(exchange.status) || (isKnownPath && exchange.status === 404)) {
      return [isKnownPath ? 'the contract has no such method' : 'the contract has no such path'];
    }
    if (exchange.status === 405 && exchange.headers.Allow === undefined) {
      return ['405 without Allow'];
    }
    return this.body(this.problem, 'application/problem+json', exchange.response);
  }

  // The complaints about a body of a type.
  body(schema, type, text) {
    if (!type.endsWith('json')) {
      return this.schemas.check(schema, text);
    }
    let value;
    try {
      value = JSON.parse(text);
    } catch (error) {
      return [`the body is no JSON: ${error.message}`];
    }
    return this.schemas.check(schema, value);
  }

  checkAnswer(name, operation, exchange) {
    const response = operation.responses[exchange.status];
    if (response === undefined) {
      return ['the contract does not have this status'];
    }
    const complaints = this.checkHeaders(response, exchange.headers);
    const type = (exchange.headers['Content-Type'] ?? 'no').split(';')[0];
    const content = response.content?.[type];
    if (content === undefined) {
      return [...complaints, `the contract does not have the content type ${type} for this status`];
    }
    const many = Object.keys(response.content).length > 1;
    this.schemas.see(`answer ${exchange.status} ${many ? `(${type}) ` : ''}of ${name}`);
    return [...complaints, ...this.body(content.schema, type, exchange.response)];
  }

  checkHeaders(response, headers) {
    const complaints = [];
    const declared = new Map(Object.entries(response.headers ?? {}).map(([name, header]) =>
      [name.toLowerCase(), [name, header]]));
    for (const [name, value] of Object.entries(headers)) {
      const [written, header] = declared.get(name.toLowerCase()) ?? [];
      if (header !== undefined) {
        this.schemas.see(this.headerName(written, header));
        complaints.push(...this.schemas.complaints(header.schema, value).map((text) => `header ${name}: ${text}`));
      } else if (!OF_HTTP.has(name.toLowerCase())) {
        complaints.push(`the contract does not have the header ${name}`);
      }
    }
    for (const [name, [written, header]] of declared) {
      if (header.required && !Object.keys(headers).some((sent) => sent.toLowerCase() === name)) {
        complaints.push(`the header ${written} is missing`);
      }
    }
    return complaints;
  }

  // A request that was understood must be one that the contract has.
  checkRequest(operation, item, exchange) {
    if (exchange.status >= 400 && exchange.status < 500) {
      return [];
    }
    const complaints = [];
    const given = { query: exchange.query, header: {}, path: {} };
    for (const [name, value] of Object.entries(exchange.request_headers)) {
      if (name !== 'Content-Type') {
        given.header[name] = value;
      }
    }
    segments(exchange.path).forEach((segment, i) => {
      if (isParameter(item.segments[i])) {
        given.path[item.segments[i].slice(1, -1)] = segment;
      }
    });
    for (const [place, values] of Object.entries(given)) {
      for (const [name, value] of Object.entries(values)) {
        const parameter = (operation.parameters ?? []).find((one) => one.in === place && one.name === name);
        if (parameter === undefined) {
          complaints.push(`the contract does not have the ${place} parameter ${name}`);
          continue;
        }
        const typed = parameter.schema.type === 'integer' && /^[0-9]+$/.test(value) ? Number(value) : value;
        const problems = this.schemas.complaints(parameter.schema, typed);
        complaints.push(...problems.map((text) => `${place} parameter ${name}: ${text}`));
        this.schemas.see(this.parameterName(parameter));
      }
    }
    return [...complaints, ...this.checkRequestBody(operation, exchange)];
  }

  checkRequestBody(operation, exchange) {
    if (operation.requestBody === undefined) {
      return exchange.request === '' ? [] : ['the contract has no request body'];
    }
    const type = (exchange.request_headers['Content-Type'] ?? 'no').split(';')[0];
    const content = operation.requestBody.content[type];
    if (content === undefined) {
      return [`the contract does not have the content type ${type} for the request`];
    }
    return this.body(content.schema, type, exchange.request).map((text) => `request: ${text}`);
  }
}

module.exports = { Exchanges };
