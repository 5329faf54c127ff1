// SPDX-License-Identifier: GPL-2.0-only
// For each line on standard input, a field's value in hexadecimal digits: reads it as baggage and writes what
// @opentelemetry/core would send on, in the same form.
'use strict';
const readline = require('readline');
const { ROOT_CONTEXT, defaultTextMapGetter, defaultTextMapSetter } = require('@opentelemetry/api');
const { W3CBaggagePropagator } = require('@opentelemetry/core');

const propagator = new W3CBaggagePropagator();

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const received = { baggage: Buffer.from(line, 'hex').toString('latin1') };
  const sent = {};
  propagator.inject(propagator.extract(ROOT_CONTEXT, received, defaultTextMapGetter), sent, defaultTextMapSetter);
  process.stdout.write(Buffer.from(sent.baggage || '', 'latin1').toString('hex') + '\n');
});
